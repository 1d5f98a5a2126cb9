"""The plug-in for nnU-Net: a trainer that learns from reports beside masks. Needs `pip install dictamen[nnunet]`."""
