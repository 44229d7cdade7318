"""How numbers are written on the page."""

from __future__ import annotations

from typing import Final

DASH: Final = "–"
"""Where there is no number."""
_METRICS: Final = {
    "miou": "mIoU",
    "iou_background": "background IoU",
    "iou_target": "target IoU",
    "iou_nontarget": "other people IoU",
    "target_iou_per_roi": "target IoU, mean of boxes",
    "dice_target": "target Dice",
    "boundary_f1": "boundary F1",
    "full_image_iou": "person IoU",
    "full_image_dice": "person Dice",
    "learning_rate": "learning rate",
    "gradient_norm": "norm of the gradient",
}


def quantity(name: str) -> str:
    """What a metric, or another recorded quantity, is called; as it is recorded where it has no other name."""
    return _METRICS.get(name, name)


def score(value: float | None) -> str:
    """A metric: ``0.4731``."""
    return DASH if value is None else f"{value:.4f}"


def signed(value: float | None) -> str:
    """A difference of metrics: ``+0.0254``, with a true minus."""
    return DASH if value is None else f"{value:+.4f}".replace("-", "−")


def interval(low: float | None, high: float | None) -> str:
    """``+0.0070 to +0.0210``."""
    return DASH if low is None or high is None else f"{signed(low)} to {signed(high)}"


def percent(value: float | None) -> str:
    """A share: ``97.9 %``."""
    return DASH if value is None else f"{100 * value:.1f} %"


def millions(count: float | None) -> str:
    """Parameters: ``6.42 M``."""
    return DASH if count is None else f"{count / 1e6:.2f} M"


def times(value: float | None) -> str:
    """A ratio: ``6.0 ×``."""
    return DASH if value is None else f"{value:.1f} ×"


def milliseconds(value: float | None) -> str:
    """A latency: ``12.3 ms``."""
    return DASH if value is None else f"{value:.1f} ms"


def tiny(value: float | None) -> str:
    """A difference of rounding: ``2e-06``."""
    return DASH if value is None else f"{value:.0e}"


def duration(seconds: float | None) -> str:
    """``2 min 31 s``, ``3 h 02 min``."""
    if seconds is None:
        return DASH
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def megabytes(size: float) -> str:
    """``1.4 MB``."""
    return f"{size / 1e6:.1f} MB"


def probability(p: float) -> str:
    """``0.031``, ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
