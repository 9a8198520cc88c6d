// Why it exists: drafts and choices survive a reload, and the page works where storage is denied.
// Laws: every key starts with "openbolt."; a failing store costs persistence, never the page. What is
// stored belongs to one person: it goes when they sign out, and when somebody else comes.

const PREFIX = "openbolt.";
const OWNER = "user";
let closed = false;

export function recall(key) {
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  if (closed) return;
  try {
    if (value === null || value === "") localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, value);
  } catch {
    // Denied or full: the value lives as long as the page does.
  }
}

/** For this tab alone, until it is read: what has to outlive a way out of the page and back. */
export const tabNote = {
  leave(key, value) {
    try {
      sessionStorage.setItem(PREFIX + key, value);
    } catch {
      // Denied: then nobody is told.
    }
  },
  take(key) {
    try {
      const value = sessionStorage.getItem(PREFIX + key);
      sessionStorage.removeItem(PREFIX + key);
      return value;
    } catch {
      return null;
    }
  },
};

function clear(store) {
  for (const key of Object.keys(store)) if (key.startsWith(PREFIX)) store.removeItem(key);
}

function clearAll() {
  for (const name of ["localStorage", "sessionStorage"]) {
    try {
      clear(globalThis[name]);
    } catch {
      // Denied: then there is nothing in it.
    }
  }
}

/** Forget everything, and keep nothing more until the page is loaded anew. */
export function forgetEverything() {
  closed = true;
  clearAll();
}

/** Who is here now; what another person has left is forgotten. `adopt`: take over what is nobody's. */
export function belongsTo(userId, { adopt = false } = {}) {
  const owner = recall(OWNER);
  if (owner !== userId && !(adopt && owner === null)) clearAll();
  remember(OWNER, userId);
}

export const owner = () => recall(OWNER);
export const isOwnerKey = (key) => key === null || key === PREFIX + OWNER;
export const isKey = (key, name) => key === PREFIX + name;
