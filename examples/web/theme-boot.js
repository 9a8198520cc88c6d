// Why it exists: a module runs after the first paint, and a flash of the wrong theme hurts at night.
// Law: this classic script does nothing but set data-theme; theme.js owns the rest.
(function () {
  var saved = null;
  try {
    saved = localStorage.getItem("openbolt.theme");
  } catch (error) {
    // Storage can be denied; the system's choice stands then.
  }
  var dark = saved ? saved === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
