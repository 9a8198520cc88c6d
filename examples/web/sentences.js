// Why it exists: what a server refuses reaches a person as a sentence that says what to do.
// Law: pure; the server's own words stand where it has some, and a code that this page doesn't know
// still gives a sentence. A code from the address bar is looked up, never shown.

const SIGN_IN = {
  sign_in_declined: "You declined to sign in. Nothing was shared.",
  sign_in_not_allowed: "You signed in, but this account is not among those that may come in here. Ask whoever runs this server.",
  sign_in_refused: "The sign-in was refused. Try again.",
  sign_in_expired: "The sign-in took too long. Try again.",
  state_mismatch: "This sign-in was begun in another tab or browser, or twice. Try again.",
  email_unverified: "Your e-mail address isn't verified there yet. Verify it, then try again.",
  account_deleted: "This account was deleted meanwhile. Sign in again to begin a new one.",
  locked: "This account is being deleted. Try again in a minute.",
  rate_limited: "Too many sign-ins in a short time. Wait a minute, then try again.",
  not_found: "This server doesn't know that way to sign in.",
  upstream_error: "The sign-in service gave no usable answer. Try again in a moment.",
  upstream_overloaded: "The sign-in service is overloaded. Try again in a moment.",
  upstream_rate_limited: "The sign-in service has no room for more requests just now. Try again in a few minutes.",
  upstream_timeout: "The sign-in service didn't answer in time. Try again in a moment.",
  backend_unavailable: "The server can't reach its store just now. Try again in a moment.",
};

/** What `?sign_in_error=CODE` means; null where there is none. */
export function signInSentence(code) {
  if (!code) return null;
  return Object.hasOwn(SIGN_IN, code) ? SIGN_IN[code] : "Signing in didn't work. Try again.";
}

const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** "in 1 second", "in 2 minutes": never less than it takes. */
export function waitOf(seconds) {
  const [unit, size] = UNITS.find(([, step]) => seconds > step * 1.5) ?? UNITS.at(-1);
  const count = Math.max(1, Math.ceil(seconds / size));
  return `in ${count} ${unit}${count === 1 ? "" : "s"}`;
}

const BY_CODE = {
  cross_origin: "The server took this for another site's request. Reload the page and try again.",
  precondition_failed: "This was changed elsewhere meanwhile. Reload the page and try again.",
};

const BY_STATUS = {
  401: "You are not signed in any more.",
  403: "You may not do this.",
  404: "There is no such thing (any more).",
  413: "This is too large.",
  429: "Too many requests in a short time.",
};

/** A refused request in words, with the wait where the server named one. */
export function sentenceOf({ status, code = null, message = null, retryAfter = null }) {
  const said = BY_CODE[code] ?? (message || BY_STATUS[status] || `The server answered ${status}.`);
  if (!retryAfter || /try again/i.test(said)) return said;
  return `${said.replace(/[.\s]*$/, ".")} Try again ${waitOf(retryAfter)}.`;
}
