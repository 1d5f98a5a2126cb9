"""Networks, their mean weights, and the folder that a trained model lives in."""
