"""Why a record counts less or nothing: a code, and plain words with what to do, in both languages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason as it is kept with a record."""

    code: str
    zh: str
    en: str


_WORDS: dict[str, tuple[str, str]] = {
    "out_of_range": (
        "数据超出合理范围（{what}），已转人工核实，一般 3 个工作日内答复。",
        "A value is outside its sanity range ({what}); a person will look at it, usually within 3 working days.",
    ),
    "no_method_in_force": (
        "行为发生当天没有生效的核算方法，已留存，待方法确认后处理。",
        "No methodology was in force on that day; the record is kept until one is confirmed.",
    ),
    "parameter_missing": (
        "核算方法缺少本地区参数（{what}），已留存，待补充后处理。",
        "The methodology has no value for this region ({what}); the record is kept until there is one.",
    ),
    "not_computable": (
        "按现有数据无法计算（{what}），已转人工核实。",
        "It cannot be computed from these facts ({what}); a person will look at it.",
    ),
    "impossible_speed": (
        "速度异常（{what}），已转人工核实。如有误，可补充说明或申诉。",
        "The speed is not plausible ({what}); a person will look at it. You can explain or appeal.",
    ),
    "impossible_power": (
        "充电功率异常（{what}），已转人工核实。",
        "The charging power is not plausible ({what}); a person will look at it.",
    ),
    "step_spike": (
        "当日步数异常偏高（{what}），已转人工核实。",
        "The steps of this day are unusually many ({what}); a person will look at them.",
    ),
    "photo_review": (
        "照片正在审核，通过后计入，一般 3 个工作日内答复。",
        "A person looks at the photo before it counts, usually within 3 working days.",
    ),
    "repeated_photo": (
        "这张照片此前已提交过，已转人工核实。",
        "This photo was handed in before; a person will look at it.",
    ),
    "shared_device": (
        "同一设备近期为多人提交数据，已转人工核实。",
        "One device has sent data for several persons lately; a person will look at this one.",
    ),
    "claimed_by_two": (
        "同一行为已有他人的记录，本条待人工核实。请保留凭证。",
        "Somebody else's record stands for the same act; a person will look at this one. Please keep your evidence.",
    ),
    "same_act": (
        "这次行为已由其他来源记录（记录 {what}），不重复计算。",
        "This act is recorded already from another source (record {what}); it counts once.",
    ),
    "better_source": (
        "更可靠的来源已记录这次行为（记录 {what}），本条不再重复计算。",
        "A better source has recorded this act (record {what}); this one does not count twice.",
    ),
    "mileage_counts": (
        "该车辆已按行驶里程计算减排量，充电记录仅作佐证。",
        "This vehicle earns by its mileage; the charge is kept as evidence only.",
    ),
    "vehicle_unknown": (
        "您已绑定车辆，但这次充电未注明车辆，无法确认，不计减排量。可联系充电平台补充车辆信息。",
        "You have bound a vehicle but this charge names none, so it cannot be told apart. Ask the platform to add it.",
    ),
    "source_correction": (
        "数据来源更正了这条数据，已按新数据重新计算（记录 {what}）。",
        "The source corrected this; it was computed anew (record {what}).",
    ),
    "source_cancelled": ("数据来源撤销了这条数据。", "The source cancelled this."),
    "not_green": ("经核实不符合该场景的要求：{what}", "On review it does not meet the scenario's conditions: {what}"),
    "evidence_missing": ("未能提供有效凭证：{what}", "There is no valid evidence: {what}"),
    "fraud": ("经核实为不实数据：{what}", "On review the data are not true: {what}"),
    "error": ("记录有误，已更正：{what}", "The record was wrong and has been corrected: {what}"),
}

REVIEW_CODES = ("not_green", "evidence_missing", "fraud", "error", "source_cancelled")


def reason(code: str, what: str = "", what_en: str | None = None) -> Reason:
    """The reason of a code, with what it is about filled in (``what_en`` where words of that differ in English).

    Raises KeyError for an unknown code.
    """
    zh, en = _WORDS[code]
    return Reason(code, zh.format(what=what), en.format(what=what if what_en is None else what_en))


def codes() -> list[str]:
    return sorted(_WORDS)
