// Runs before the first paint, so that a page in the dark theme does not flash white: a classic script, not a module.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("trivium.theme");
  } catch {
    // Storage may be forbidden: the system's theme it is.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
