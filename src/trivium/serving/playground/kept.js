/** Tabs that last as long as the page. */

/**
 * The `mount` of a tab that is built once, and shown again with what is in it.
 * @param {(context: any) => HTMLElement} build
 */
export function kept(build) {
  /** @type {HTMLElement | null} */
  let view = null;
  return (/** @type {HTMLElement} */ root, /** @type {any} */ context) => root.append((view ??= build(context)));
}
