/**
 * The course of a run: lines of its metrics.jsonl as they come in, and the curves that are in them.
 *
 * A resumed run is cut back to a checkpoint, after which steps come again: those that were there before are dropped.
 */

/** @typedef {{x: number, y: number}} Point */
/** @typedef {{lines: any[], samples: {step: number, text: string}[], recipe: any, next: number}} Course */

const NOT_CURVES = new Set(["kind", "step", "tokens", "seconds", "flops", "order", "seed"]);
const KINDS = ["train", "evaluation", "judged"];

/** @returns {Course} */
export const begun = () => ({ lines: [], samples: [], recipe: {}, next: 0 });

/** Adds an answer of GET /runs/{id}; gives whether anything is new. @param {Course} course @param {any} answer */
export function take(course, answer) {
  if (answer.restarted) Object.assign(course, begun());
  if (Object.keys(answer.recipe).length) course.recipe = answer.recipe;
  const fresh = answer.lines.length + answer.samples.length > 0 || answer.restarted;
  const first = answer.lines.find((/** @type {any} */ line) => line.kind === "train" && typeof line.step === "number");
  if (first && course.lines.some((line) => line.kind === "train" && line.step >= first.step)) {
    course.lines = course.lines.filter((line) => !(line.step >= first.step));
    course.samples = course.samples.filter((sample) => sample.step < first.step);
  }
  course.lines.push(...answer.lines);
  course.samples.push(...answer.samples);
  course.next = answer.next;
  return fresh;
}

/**
 * Every curve: measure -> kind -> points by step; y is null where the number was not finite.
 * @param {Course} course @returns {Map<string, Map<string, {step: number, y: number | null}[]>>}
 */
export function curves(course) {
  const found = new Map();
  const add = (/** @type {string} */ name, /** @type {any} */ line, /** @type {unknown} */ y) => {
    if (typeof line.step !== "number" || !(typeof y === "number" || y === null)) return;
    if (!found.has(name)) found.set(name, new Map());
    const kinds = found.get(name);
    if (!kinds.has(line.kind)) kinds.set(line.kind, []);
    kinds.get(line.kind).push({ step: line.step, y });
  };
  for (const line of course.lines) {
    if (!KINDS.includes(line.kind)) continue;
    if (line.kind === "judged") {
      for (const side of ["new", "old"]) add(`${line.figure} (${side} text)`, line, line[side]);
      continue;
    }
    for (const [name, value] of Object.entries(line)) {
      if (NOT_CURVES.has(name)) continue;
      if (value !== null && typeof value === "object" && !Array.isArray(value)) {
        for (const [part, each] of Object.entries(value)) add(`${name}: ${part}`, line, each);
      } else add(name, line, value);
    }
  }
  return found;
}

/**
 * From steps to "tokens" or "seconds", by the log lines around; null where the run does not tell them.
 * @param {Course} course @param {"step" | "tokens" | "seconds"} along @returns {((step: number) => number) | null}
 */
export function along(course, along) {
  if (along === "step") return (step) => step;
  const known = [[0, 0]];
  for (const line of course.lines) {
    if (line.kind === "train" && line.step > known[known.length - 1][0] && typeof line[along] === "number") {
      known.push([line.step, line[along]]);
    }
  }
  if (known.length === 1) return null;
  return (step) => {
    let [low, high] = [0, known.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (known[middle][0] <= step) low = middle;
      else high = middle;
    }
    const [from, to] = [known[low], known[high]];
    return from[1] + ((to[1] - from[1]) * (step - from[0])) / (to[0] - from[0]);
  };
}

/**
 * Exponential moving average that does not start at 0 (its first values are divided by the weight they have).
 * @param {Point[]} points @param {number} weight of what was before, 0 to 1 @returns {Point[]}
 */
export function smoothed(points, weight) {
  let [mean, held] = [0, 0];
  return points.map(({ x, y }) => {
    mean = mean * weight + y * (1 - weight);
    held = held * weight + (1 - weight);
    return { x, y: mean / held };
  });
}

/** At most `most` points, each the mean of its neighbours; the last stays as it is. @param {Point[]} points @param {number} most */
export function thinned(points, most) {
  if (points.length <= most) return points;
  const kept = [];
  for (let bucket = 0; bucket < most - 1; bucket++) {
    const from = Math.floor((bucket * (points.length - 1)) / (most - 1));
    const to = Math.floor(((bucket + 1) * (points.length - 1)) / (most - 1));
    let [x, y] = [0, 0];
    for (let at = from; at < to; at++) [x, y] = [x + points[at].x, y + points[at].y];
    kept.push({ x: x / (to - from), y: y / (to - from) });
  }
  kept.push(points[points.length - 1]);
  return kept;
}

/** Seconds until the last step at the speed of the last log lines, or null. @param {Course} course @param {any} run */
export function remaining(course, run) {
  const timed = course.lines.filter((line) => line.kind === "train" && typeof line.seconds === "number").slice(-5);
  if (run.state !== "running" || timed.length < 2 || !run.steps) return null;
  const [from, to] = [timed[0], timed[timed.length - 1]];
  const pace = (to.seconds - from.seconds) / (to.step - from.step);
  return pace > 0 ? Math.max(0, run.steps - to.step) * pace : null;
}
