// Why it exists: drafts and choices survive a reload, and the page works where storage is denied.
// Law: every key starts with "openbolt."; a failing store costs persistence, never the page.

const PREFIX = "openbolt.";

export function recall(key) {
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    if (value === null || value === "") localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, value);
  } catch {
    // Denied or full: the value lives as long as the page does.
  }
}
