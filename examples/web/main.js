// Why it exists: who is here decides what is shown: what a link opens, the screen to sign in at, or the
// builder. Laws: nothing of a person is drawn before the server has said who they are; when they are
// gone, nothing of them stays for the next one at this browser, not behind the back button either.

import * as api from "./api.js";
import { fillIcons } from "./icons.js";
import { start } from "./builder.js";
import { Preferences } from "./preferences.js";
import { signInSentence } from "./sentences.js";
import { forgetSignIn, noteExpiry, showSignIn } from "./sign-in.js";
import { showShared } from "./shared.js";
import { belongsTo, forgetEverything, isKey, isOwnerKey, owner, recall, remember } from "./storage.js";
import { followSystem } from "./theme.js";

const CACHE = "preferences";
const NOBODY_TO_ASK = { user: null, session: null, providers: [], method: null };

let leaving = false;
let reloading = false;

/** Begin anew, once: another tab's sign-in is several events, and the session's end may be one more. */
function beginAnew() {
  if (reloading) return;
  reloading = true;
  location.reload();
}

/** Do what ends the person's stay, forget them, and begin anew; `then(answer)` may hold the page a while. */
async function leave(work, { then = () => {} } = {}) {
  leaving = true;
  let answer = null;
  try {
    answer = await work();
  } catch (error) {
    if (error.status !== 401) {
      leaving = false;
      throw error;
    }
  }
  forgetEverything();
  await then(answer);
  location.replace(location.pathname);
}

/** What `?share=` and `?sign_in_error=` say, taken out of the address. */
function readAddress() {
  const query = new URLSearchParams(location.search);
  const token = query.get("share");
  const problem = signInSentence(query.get("sign_in_error"));
  if (location.search) history.replaceState(null, "", location.pathname + (token ? `#/shared/${encodeURIComponent(token)}` : location.hash));
  const [, shared] = location.hash.match(/^#\/shared\/([A-Za-z0-9._~-]+)$/) ?? [];
  return { shared, problem };
}

async function whoIsHere() {
  try {
    return await api.session();
  } catch {
    return NOBODY_TO_ASK; // the builder's own requests say what is wrong
  }
}

/** A page that the browser has kept whole is not shown again before it is known whose it is. */
function guardHistory(userId) {
  addEventListener("pagehide", () => (document.documentElement.dataset.away = "true"));
  addEventListener("pageshow", async ({ persisted }) => {
    if (persisted) {
      const { user } = await whoIsHere();
      if (owner() !== userId || (user && user.id !== userId) || (!user && userId)) return location.reload();
    }
    return delete document.documentElement.dataset.away;
  });
}

function makePreferences() {
  const preferences = new Preferences({
    store: { load: () => recall(CACHE), save: (text) => remember(CACHE, text) },
    remote: { read: api.preferences, write: api.changePreferences },
  });
  addEventListener("online", () => preferences.sync());
  return preferences;
}

function watchOtherTabs(userId, preferences) {
  addEventListener("storage", ({ key }) => {
    if (isOwnerKey(key) && !leaving && owner() !== userId) beginAnew();
    if (isKey(key, CACHE)) preferences.refresh();
  });
}

function watchSession() {
  let over = false;
  api.whenSignedOut(() => {
    if (over || leaving) return;
    over = true;
    noteExpiry();
    setTimeout(beginAnew, 100); // whoever sent what was refused puts it back first
  });
}

async function boot() {
  fillIcons(document);
  const { shared, problem } = readAddress();
  if (shared) {
    followSystem();
    addEventListener("hashchange", () => location.reload());
    return showShared(shared);
  }
  const person = await whoIsHere();
  const { user, method } = person;
  if (!user && person.providers.length > 0) {
    followSystem();
    guardHistory(null);
    addEventListener("storage", ({ key }) => isOwnerKey(key) && owner() !== null && beginAnew());
    return showSignIn(document.getElementById("sign-in"), { providers: person.providers, problem });
  }
  const signedIn = method === "session";
  if (user) belongsTo(user.id, { adopt: !signedIn });
  forgetSignIn();
  const preferences = makePreferences();
  if (user) watchOtherTabs(user.id, preferences);
  if (signedIn) watchSession();
  guardHistory(user?.id ?? owner());
  start({ user, signedIn, preferences, leave, problem });
  return preferences.sync();
}

boot();
