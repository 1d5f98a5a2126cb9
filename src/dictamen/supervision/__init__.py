"""What is known of a study, from masks or reports, as constraints on regions and as tensors of a patch."""
