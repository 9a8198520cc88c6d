// Why it exists: times and dates read the same everywhere on the page.

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const dates = new Intl.DateTimeFormat("en", { dateStyle: "medium" });
const STEPS = [["minute", 60], ["hour", 3600], ["day", 86400], ["week", 604800], ["month", 2629800], ["year", 31557600]];

export function ago(iso, now = Date.now()) {
  const seconds = Math.max(0, (now - Date.parse(iso)) / 1000);
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return "now";
  const [unit, size] = STEPS.findLast(([, step]) => seconds >= step);
  return relative.format(-Math.round(seconds / size), unit);
}

export function dateOf(iso) {
  const time = Date.parse(iso);
  return Number.isFinite(time) ? dates.format(time) : "";
}
