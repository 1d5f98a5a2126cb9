"""Where nnU-Net looks for trainers: the folder of this file is the value of `nnUNet_extTrainer`."""

from dictamen.nnunet.trainer import nnUNetTrainerReports

__all__ = ["nnUNetTrainerReports"]
