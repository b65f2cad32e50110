/** Axes of a plot: round ticks, linear and logarithmic scales, and numbers as people read them. */

/** Round numbers at steps of 1, 2, 2.5 or 5 times a power of ten. @param {number} low @param {number} high @param {number} [count] */
export function niceTicks(low, high, count = 5) {
  if (high <= low) return [low];
  const raw = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = /** @type {number} */ ([1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= raw * 0.999));
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, at) => Number(((first + at) * step).toPrecision(12)));
}

/** Powers of ten; 1, 2 and 5 times them where the range is short. @param {number} low @param {number} high */
export function logTicks(low, high) {
  const multiples = high / low >= 30 ? [1] : [1, 2, 5];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const each of multiples) {
      const tick = Number((each * 10 ** power).toPrecision(12));
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  return ticks.length > 1 ? ticks : niceTicks(low, high, 3);
}

/**
 * An axis over values: {low, high, ticks, at(value) -> 0 to 1}. `margin`: the share of the range that is left free.
 * @param {number[]} values finite; on a logarithmic axis above 0
 * @param {{log?: boolean, margin?: number}} [options]
 */
export function axis(values, { log = false, margin = 0 } = {}) {
  let [low, high] = bounds(values);
  const bent = log ? Math.log : (/** @type {number} */ value) => value;
  const straight = log ? Math.exp : (/** @type {number} */ value) => value;
  const free = (bent(high) - bent(low)) * margin || (high === low && margin ? Math.abs(bent(high)) * 0.1 || 1 : 0);
  [low, high] = [straight(bent(low) - free), straight(bent(high) + free)];
  const span = bent(high) - bent(low);
  return {
    low,
    high,
    ticks: log ? logTicks(low, high) : niceTicks(low, high),
    at: (/** @type {number} */ value) => (span > 0 ? (bent(value) - bent(low)) / span : 0.5),
  };
}

/** Without spreading them over a call's arguments, of which there may be too many. @param {number[]} values */
function bounds(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** Four digits: 12938.7 as "12,939", 0.00012 as "1.2e-4". @param {number | null | undefined} value */
export function spelt(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e6 && size < 1e15) return shortened(value);
  if (size >= 1000 && size < 1e6) return Math.round(value).toLocaleString("en");
  if (size !== 0 && (size < 1e-3 || size >= 1e15)) return value.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

/** @param {number} value */
function shortened(value) {
  const [size, letter] = Math.abs(value) >= 1e12 ? [1e12, "T"] : Math.abs(value) >= 1e9 ? [1e9, "B"] : [1e6, "M"];
  return `${Number((value / size).toPrecision(4))}${letter}`;
}

/** Of a time: 75 as "1 min 15 s". @param {number} seconds */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}
