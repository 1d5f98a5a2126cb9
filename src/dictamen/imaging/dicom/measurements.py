"""Measurements as a DICOM structured report, TID 1500 (PS3.16): each lesion with size, density, site and segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dictamen.imaging.dicom.coding import laterality, lesion_type, organ_type
from dictamen.imaging.dicom.segmentation import (
    MANUFACTURER,
    SERIES_NUMBERS,
    Algorithm,
    Segment,
    Source,
    derived_uid,
    writing,
)

if TYPE_CHECKING:
    from pydicom import Dataset

DECIMALS = 2
"""Of millimetres and cubic millimetres: beyond what voxels can say."""
CODES = {
    "long_axis_mm": (("103339001", "SCT", "Long Axis"), ("mm", "UCUM", "millimeter")),
    "short_axis_mm": (("103340004", "SCT", "Short Axis"), ("mm", "UCUM", "millimeter")),
    "height_mm": (("121207", "DCM", "Height"), ("mm", "UCUM", "millimeter")),
    "volume_mm3": (("118565006", "SCT", "Volume"), ("mm3", "UCUM", "cubic millimeter")),
    "mean_hu": (("112031", "DCM", "Attenuation Coefficient"), ("[hnsf'U]", "UCUM", "Hounsfield unit")),
}
"""Measurement -> concept (CID 7470, 7472, 6401) and unit."""
PROCEDURES = {
    "CT": ("77477000", "SCT", "Computed Tomography"),
    "MR": ("113091000", "SCT", "Magnetic Resonance Imaging"),
    "PT": ("82918005", "SCT", "Positron Emission Tomography"),
}
MEAN = ("373098007", "SCT", "Mean")


@dataclass(frozen=True)
class Measured:
    """A lesion's segment and its measurements.

    Attributes:
        segment: with label, site and tracking identifier.
        number: of the segment in the SEG.
        long_axis_mm: longest diameter in one axial slice.
        short_axis_mm: width across it in that slice.
        height_mm: craniocaudal extent.
    """

    segment: Segment
    number: int
    long_axis_mm: float
    short_axis_mm: float
    height_mm: float
    volume_mm3: float
    mean_hu: float


def make_report(
    lesions: Sequence[Measured], segmentation: Dataset | None, source: Source, *, algorithm: Algorithm
) -> Dataset:
    """A Comprehensive 3D SR; a report without lesions says that none was detected.

    Args:
        segmentation: the SEG that holds the lesions' segments; None where nothing was found.

    Raises:
        InputError: headers that the standard doesn't allow to copy.
    """
    import highdicom as hd

    series_uid = source.headers[0].SeriesInstanceUID
    observer = hd.sr.ObserverContext(
        observer_type=_code("121007", "DCM", "Device"),
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=derived_uid(series_uid, algorithm, "observer"),
            name=algorithm.name,
            manufacturer_name=MANUFACTURER,
            model_name=algorithm.version,
        ),
    )
    with writing("The DICOM SR can't be made."):
        groups = [_group(one, segmentation, source, algorithm) for one in lesions if segmentation is not None]
        content = hd.sr.MeasurementReport(
            observation_context=hd.sr.ObservationContext(observer_device_context=observer),
            procedure_reported=_code(*PROCEDURES[source.headers[0].Modality]),
            imaging_measurements=groups or [_nothing(algorithm, series_uid)],
            title=_code("126000", "DCM", "Imaging Measurement Report"),
        )
        return hd.sr.Comprehensive3DSR(
            evidence=[*([segmentation] if segmentation is not None else []), *source.headers],
            content=content,
            series_instance_uid=derived_uid(series_uid, algorithm, "SR series"),
            series_number=SERIES_NUMBERS["SR"],
            sop_instance_uid=derived_uid(series_uid, algorithm, "SR"),
            instance_number=1,
            manufacturer=MANUFACTURER,
            is_complete=True,
            is_final=False,  # an algorithm can't finalise a report
            series_description="dictamen measurements",
        )


def _group(lesion: Measured, segmentation: Dataset, source: Source, algorithm: Algorithm) -> Any:
    import highdicom as hd

    segment = lesion.segment
    site = organ_type(segment.structure) if segment.structure else None
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=segment.tracking_uid, identifier=segment.label[:64]),
        referenced_segment=hd.sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=lesion.number,
            source_series=hd.sr.SourceSeriesForSegmentation(source.headers[0].SeriesInstanceUID),
        ),
        finding_type=_concept(lesion_type(str(segment.lesion))),
        algorithm_id=hd.sr.AlgorithmIdentification(name=algorithm.name, version=algorithm.version),
        finding_sites=[
            hd.sr.FindingSite(
                anatomic_location=_concept(site),
                laterality=_concept(laterality(segment.side)) if segment.side else None,
            )
        ]
        if site
        else None,
        measurements=[
            hd.sr.Measurement(
                name=_code(*name),
                value=round(float(getattr(lesion, field)), DECIMALS),
                unit=_code(*unit),
                derivation=_code(*MEAN) if field == "mean_hu" else None,
            )
            for field, (name, unit) in CODES.items()
            if field != "mean_hu" or source.headers[0].Modality == "CT"
        ],
    )


def _nothing(algorithm: Algorithm, series_uid: str) -> Any:
    """TID 1500 wants a group: it says that no lesion was detected, which is not that there is none."""
    import highdicom as hd

    lesion = _code("52988006", "SCT", "Lesion")
    uid = derived_uid(series_uid, algorithm, "no lesion")
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=uid, identifier="no lesion"),
        finding_type=lesion,
        algorithm_id=hd.sr.AlgorithmIdentification(name=algorithm.name, version=algorithm.version),
        qualitative_evaluations=[hd.sr.QualitativeEvaluation(lesion, _code("260415000", "SCT", "Not detected"))],
    )


def _code(value: str, scheme: str, meaning: str) -> Any:
    import highdicom as hd

    return hd.sr.CodedConcept(value, scheme, meaning)


def _concept(code: Any) -> Any:
    return _code(code.value, code.scheme_designator, code.meaning)
