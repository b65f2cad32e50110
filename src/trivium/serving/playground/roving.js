/**
 * One tab stop for many things (the "roving tabindex" of the ARIA practices): arrows move between them, in a line or in
 * a grid, Home and End to the ends of the row, with Control to the first and the last.
 */

/**
 * @param {HTMLElement | SVGElement} root
 * @param {() => (HTMLElement | SVGElement)[]} items in order, row after row
 * @param {{columns?: () => number, onmove?: (item: Element, index: number) => void}} [options] `columns`: of a grid;
 *   without it every arrow goes along the line
 */
export function roving(root, items, { columns, onmove } = {}) {
  const stop = (chosen) => {
    for (const item of items()) item.setAttribute("tabindex", item === chosen ? "0" : "-1");
  };
  root.addEventListener("keydown", (event) => {
    if (event.altKey || event.metaKey) return;
    const all = items();
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    const to = next(event, at, all.length, columns?.());
    if (to === null) return;
    event.preventDefault();
    all[to].focus();
  });
  root.addEventListener("focusin", (event) => {
    const all = items();
    const at = all.indexOf(event.target);
    if (at < 0) return;
    stop(all[at]);
    onmove?.(all[at], at);
  });
  stop(items()[0]);
}

/** Where a key leads, null where nowhere. */
export function next(event, at, count, columns) {
  const row = columns ?? count;
  const first = at - (at % row);
  const steps = columns
    ? { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row }
    : { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 };
  let to = null;
  if (event.key in steps) to = at + steps[event.key];
  else if (event.key === "Home") to = event.ctrlKey ? 0 : first;
  else if (event.key === "End") to = event.ctrlKey ? count - 1 : Math.min(first + row, count) - 1;
  if (to === null || to < 0 || to >= count || to === at) return null;
  const leavesRow = columns && ["ArrowLeft", "ArrowRight"].includes(event.key) && to - (to % row) !== first;
  return leavesRow ? null : to;
}
