"""Headers without the patient: the Basic Application Level Confidentiality Profile (PS3.15 annex E) by a list of what
is kept, which is stricter than the profile's list of what is removed: whatever is not on it is not there."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from dictamen.errors import InputError

if TYPE_CHECKING:
    from pydicom import Dataset

KEPT = (
    *("SOPClassUID", "Modality", "ImageType", "PatientPosition", "InstanceNumber", "SeriesNumber"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"),
)
"""What SEG and SR need of the images that they speak of: geometry and the form of the pixels."""
UIDS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
EMPTIED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)
"""Type 2 of the patient and study modules: must be there, may be empty."""
DUMMY_TIMES = {"DA": "19000101", "TM": "000000", "DT": "19000101000000"}
SHORTEST_SECRET = 3
"""Characters; a sex or a study id of "1" stands for nobody, and is found everywhere."""
PROFILE = ("113100", "DCM", "Basic Application Confidentiality Profile")


class Deidentifier:
    """De-identifies the objects of one study; new UIDs agree among them and can't be traced to the old ones."""

    def __init__(self) -> None:
        self._salt = secrets.token_hex(16)

    def header(self, original: Dataset) -> Dataset:
        """The header of a source image with nothing in it but geometry and new UIDs."""
        from pydicom import FileMetaDataset

        reduced = _reduced(original)
        for name in UIDS:
            if name in original:
                setattr(reduced, name, self.uid(str(original[name].value)))
        for name in EMPTIED:
            setattr(reduced, name, "")
        reduced.file_meta = FileMetaDataset()
        reduced.file_meta.TransferSyntaxUID = original.file_meta.TransferSyntaxUID
        return reduced

    def uid(self, original: str) -> str:
        """The new UID of an old one."""
        from pydicom.uid import generate_uid

        return str(generate_uid(entropy_srcs=[self._salt, original]))


def mark_deidentified(made: Dataset) -> None:
    """Say in an object made from de-identified headers that it is, and take the times of its making out."""
    from highdicom.sr import CodedConcept

    for element in made.iterall():
        if element.VR in DUMMY_TIMES and element.value not in (None, ""):
            element.value = DUMMY_TIMES[element.VR]
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = "dictamen: nothing kept but geometry"
    made.DeidentificationMethodCodeSequence = [CodedConcept(*PROFILE)]
    made.LongitudinalTemporalInformationModified = "REMOVED"


def check_no_identity(made: Dataset, originals: Dataset) -> None:
    """Refuse to write an object in which a name, number, date or UID of the patient or study still stands.

    Raises:
        InputError: names the element, never its value.
    """
    values = {str(originals[name].value) for name in (*EMPTIED, *UIDS) if name in originals}
    secret = {value for value in values if len(value) >= SHORTEST_SECRET} - set(DUMMY_TIMES.values())
    for element in made.iterall():
        if element.VR != "SQ" and isinstance(element.value, str) and element.value in secret:
            raise InputError("The object to write still holds something of the patient.", got=element.name)


def _reduced(original: Dataset) -> Dataset:
    from pydicom import Dataset

    reduced = Dataset()
    for name in KEPT:
        if name not in original:
            continue
        element = original[name]
        if element.VR == "SQ":
            setattr(reduced, name, [_reduced(item) for item in element.value])
        else:
            reduced[name] = element
    return reduced
