"""DICOM: series to volumes, and predictions to SEG and SR. Decoding and encoding are pydicom's and highdicom's."""
