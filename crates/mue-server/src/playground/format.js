// Numbers in words.

const UNITS = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

/** Multiply-accumulates: 67.2 M. */
export function macs(count) {
  const rounded = Number(count.toPrecision(3));
  const [size, unit] = UNITS.find(([size]) => rounded >= size) ?? [1, ""];
  return `${(rounded / size).toPrecision(3)} ${unit}`.trim();
}

/** Milliseconds: 4.3 ms, 43 ms, 1.18 s. */
export function ms(time) {
  return time < 999.5 ? `${time.toFixed(time < 9.95 ? 1 : 0)} ms` : `${(time / 1000).toFixed(2)} s`;
}

export function percent(share, digits = 0) {
  return `${(100 * share).toFixed(digits)} %`;
}

/** Whole numbers plain, others with one digit. */
export function layer(depth) {
  return Number.isInteger(depth) ? String(depth) : depth.toFixed(1);
}

export function plural(count, one) {
  return `${count} ${one}${count === 1 ? "" : "s"}`;
}
