// The calibrated operating points that a quality can choose.

/**
 * From the cheapest to the safest: `quality` to ask for, `cost` as a share of full depth. A point
 * that another one beats in both is never chosen, so it is no mark of the slider.
 */
export function operatingPoints(calibration) {
  const saving = calibration.filter((point) => point.macs < point.macs_full);
  const beaten = (point) => saving.some((other) => other !== point
    && other.macs <= point.macs && other.retention_low >= point.retention_low
    && (other.macs < point.macs || other.retention_low > point.retention_low));
  const marks = new Map();
  for (const point of saving.filter((point) => !beaten(point))) {
    const quality = Math.min(1, point.retention_low);
    marks.set(quality, { quality, cost: point.macs / point.macs_full });
  }
  return [...marks.values()].sort((a, b) => a.quality - b.quality);
}
