// Why it exists: the builder's wiring: which conversation is on the screen, and who is told when it changes.
// Law: state lives in the conversations and in `ui`; every view is drawn from them, once per frame.

import { AccountMenu } from "./account-menu.js";
import * as api from "./api.js";
import { ChatView } from "./chat-view.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { arrowTabs, h, markTab, oncePerFrame, setAttribute, setText } from "./dom.js";
import { FilesView } from "./files-view.js";
import { fillIcon } from "./icons.js";
import { PHONE, initSidebar, initSplitter } from "./layout.js";
import { notifyOf } from "./notifications.js";
import { Preview } from "./preview.js";
import { SettingsDialog } from "./settings.js";
import { ShareDialog } from "./share.js";
import { Sidebar } from "./sidebar.js";
import { showSuggestions } from "./suggestions.js";
import { initTheme } from "./theme.js";

const $ = (id) => document.getElementById(id);
const app = $("app");

let person = null; // {user, signedIn, preferences, leave}, from main.js
let drawer, chat, files, preview, composer, sidebar, share;
const conversations = new Map(); // id -> Conversation, those opened since the page was loaded
let current = null;

const ui = {
  models: { default: null, models: [], provider: null },
  model: null,
  mode: "build",
  picked: new Set(), // "model", "mode": chosen in this tab, so that other tabs don't change it under the reader's hands
  chats: [],
  projects: [],
  tab: "preview",
  pane: "chat", // on a phone: "chat" or "work"
  tabChosen: false, // by the reader, in this turn
  news: new Set(), // panes of a phone with something new
  alert: null,
};

// ---- what can be done ----

const actions = {
  openFile(path) {
    files.pick(path);
    choose("code");
  },
  goOn: () => send("Please go on from where you stopped."),
  regenerate: () => attempt(() => current.regenerate(sendOptions())),
  async copy(text) {
    if (!(await copied(text))) fail(new Error("This browser doesn't let the page copy here."));
  },
};

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied");
    return true;
  } catch {
    return false;
  }
}

const sendOptions = () => ({ model: chosenModel(), mode: ui.mode });
const chosenModel = () => (ui.models.models.some(({ id }) => id === ui.model) ? ui.model : null);

async function attempt(work) {
  ui.alert = null;
  ui.tabChosen = false;
  files.release();
  chat.follow();
  try {
    await work();
  } catch (error) {
    fail(error);
  }
}

async function send(text) {
  const conversation = current;
  ui.alert = null;
  ui.tabChosen = false;
  files.release();
  chat.follow();
  await conversation.send(text, sendOptions());
  if (conversation === current && keyOf(conversation) === conversation.id) {
    history.replaceState(null, "", `#/chat/${conversation.id}`);
  }
  refreshLists();
}

function fail(error) {
  ui.alert = { text: error.message, requestId: error.requestId ?? null };
  draw();
}

const say = (text) => setText($("status"), text);

function choose(tab, byReader = true) {
  if (byReader) ui.tabChosen = true;
  ui.tab = tab;
  if (byReader) ui.pane = "work";
  draw();
}

async function refreshLists() {
  try {
    [ui.chats, ui.projects] = await Promise.all([api.chats(), api.projects()]);
    draw();
  } catch (error) {
    fail(error);
  }
}

// ---- what happens in conversations ----

function changed(conversation, frame) {
  if (frame?.type === "turn-end") {
    refreshLists();
    if (person.preferences.value.notifications) {
      const { id, title, lastReply } = conversation;
      notifyOf({ id, title: ui.chats.find((each) => each.id === id)?.title || title, complete: lastReply?.status === "complete" });
    }
  }
  if (conversation === current && frame) react(conversation, frame);
  draw();
}

function react(conversation, frame) {
  if (frame.type === "start") say("The reply has begun");
  if (frame.type === "data-action" && frame.data.state === "open" && frame.data.type === "file") {
    if (!ui.tabChosen) choose("code", false);
    ui.news.add("code");
  }
  if (frame.type === "data-file") say(`${frame.data.filePath}: ${frame.data.state}`);
  if (frame.type !== "turn-end") return;
  const { status } = conversation.lastReply ?? {};
  say({ complete: "The reply is complete", stopped: "Stopped" }[status] ?? "The reply broke off");
  const files = [...conversation.liveFiles.keys()];
  if (files.length === 0) return;
  ui.news.add("preview");
  if (!ui.tabChosen) choose("preview", false);
}

// ---- where we are: #/, #/chat/{id}, #/project/{id} ----

function route() {
  const [, kind, rawId] = location.hash.match(/^#\/(chat|project)\/(.+)$/) ?? [];
  const id = rawId && decode(rawId);
  ui.alert = null;
  ui.tabChosen = false;
  ui.tab = "preview";
  ui.pane = "chat";
  ui.news.clear();
  if (kind === "chat" && api.isId(id)) {
    current = conversations.get(id) ?? make(id);
    if (!current.running) current.load();
  } else {
    current = make(api.newId(), kind === "project" && api.isId(id) ? id : null);
    current.refreshProject().catch(fail);
  }
  drawer.dismiss();
  draw();
  chat.follow();
  if (!PHONE.matches) composer.focus();
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

function make(id, projectId = null) {
  const conversation = new Conversation(id, { projectId, changed });
  conversations.set(id, conversation);
  return conversation;
}

/** The draft's key: a chat that the server does not know yet has none of its own. */
function keyOf(conversation) {
  const known = conversation.loaded || location.hash === `#/chat/${conversation.id}`;
  return known ? conversation.id : `new${conversation.projectId ? `-${conversation.projectId}` : ""}`;
}

// ---- drawing ----

const draw = oncePerFrame(() => {
  const { running, messages, project, liveFiles } = current;
  const isNew = messages.length === 0 && !current.failure && (!conversations.has(current.id) || keyOf(current) !== current.id);
  const writes = running && ui.mode === "build";
  app.dataset.layout = project?.files.length || liveFiles.size > 0 || writes ? "split" : "focus";
  app.dataset.empty = isNew;
  app.dataset.pane = ui.pane;

  const listed = ui.chats.find(({ id }) => id === current.id);
  const title = listed?.title || current.title || (isNew ? "New chat" : "Untitled");
  setText($("chat-title"), title);
  setText($("workbench-title"), isNew ? "" : title);
  document.title = isNew ? "openbolt" : `${running ? "\u2026 " : ""}${title} \u00b7 openbolt`;
  $("hero").hidden = !isNew;
  $("suggestions").hidden = !isNew;

  composer.open(keyOf(current), current);
  composer.update({ running, stopping: current.turn?.state === "stopping" });
  chat.update(current);
  files.update(current);
  preview.update(current);
  $("share").hidden = !person.signedIn || isNew || (!current.loaded && !project);
  sidebar.update({
    chats: ui.chats,
    projects: ui.projects,
    current: { chatId: isNew ? null : current.id, projectId: current.projectId },
    running: new Set([...conversations.values()].filter((other) => other.running).map(({ id }) => id)),
  });
  drawWorkbench(project);
  drawAlert();
  drawOptions();
});

function drawWorkbench(project) {
  for (const name of ["preview", "code"]) $(`panel-${name}`).hidden = ui.tab !== name;
  markTab($("workbench-tabs"), $(`tab-${ui.tab}`));
  const pane = ui.pane === "chat" ? "chat" : ui.tab;
  if (PHONE.matches) ui.news.delete(pane);
  else ui.news.clear();
  for (const tab of $("pane-tabs").children) setAttribute(tab, "data-news", ui.news.has(tab.dataset.pane) || null);
  markTab($("pane-tabs"), $("pane-tabs").querySelector(`[data-pane="${pane}"]`));
  const download = $("download");
  download.hidden = !project?.files.length;
  if (project) download.href = api.exportUrl(project.id);
  setText($("version"), project?.files.length ? `Version ${project.version}` : "");
}

function drawAlert() {
  const alert = current.failure
    ? { text: current.failure.status === 404 ? "This chat does not exist (any more)." : current.failure.message, requestId: current.failure.requestId }
    : ui.alert;
  const box = $("alert");
  box.hidden = !alert;
  const words = alert ? alert.text + (alert.requestId ? ` (request ${alert.requestId})` : "") : "";
  if (box.dataset.words === words) return;
  box.dataset.words = words;
  const close = h("button", { type: "button", class: "icon-button", "aria-label": "Dismiss" });
  fillIcon(close, "close");
  close.addEventListener("click", () => {
    ui.alert = null;
    current.failure = null;
    draw();
  });
  box.replaceChildren(h("span", {}, words), close);
}

function drawOptions() {
  const { models, provider } = ui.models;
  const notice = $("provider-notice");
  notice.hidden = !provider?.notice;
  setText(notice.firstElementChild, provider?.notice ?? "");
  notice.title = provider?.notice ?? "";
  $("model-pick").hidden = models.length < 2;
  for (const input of $("mode").querySelectorAll("input")) input.checked = input.value === ui.mode;
  $("prompt").placeholder = ui.mode === "build" ? "Describe what to build or change" : "Ask or think aloud; no files change";
}

async function loadModels() {
  try {
    ui.models = await api.models();
  } catch (error) {
    return fail(error);
  }
  const select = $("model");
  select.replaceChildren(...ui.models.models.map(({ id, label }) => h("option", { value: id }, label ?? id)));
  select.value = chosenModel() ?? ui.models.default;
  setText($("sidebar-foot"), ui.models.provider?.mock ? "Model: built-in mock" : `Model provider: ${ui.models.provider?.name ?? "unknown"}`);
  return draw();
}

// ---- putting it together ----

const parts = (...ids) => Object.fromEntries(ids.map((id) => [id, $(id)]));

function makeViews({ preferences }) {
  initTheme($("theme-toggle"), preferences);
  initSplitter({ app, splitter: $("splitter"), preferences });
  drawer = initSidebar({ app, ...parts("sidebar", "scrim"), openButton: $("sidebar-open"), closeButton: $("sidebar-close"), preferences });
  chat = new ChatView({ scroller: $("conversation"), list: $("messages"), jump: $("jump"), actions });
  files = new FilesView($("panel-code"), { copy: actions.copy, read: ({ projectId }, path) => api.fileText(projectId, path) });
  preview = new Preview($("panel-preview"));
  composer = new Composer(
    { form: $("composer"), undo: $("undo-enhance"), ...parts("prompt", "send", "stop", "enhance") },
    { send, fail, say, changed: () => draw(), stop: () => current.stop(), model: chosenModel, preferences: () => preferences.value },
  );
  sidebar = new Sidebar($("chat-list"), $("delete-dialog"), {
    fail,
    deleted({ chatId }) {
      conversations.delete(chatId);
      refreshLists();
      if (chatId === current.id) location.hash = "#/";
    },
  });
  share = new ShareDialog($("share-dialog"), { copy: copied });
}

function makeAccount({ user, signedIn, preferences, leave }) {
  const settings = new SettingsDialog($("settings"), { user, signedIn, preferences, leave, copy: copied });
  new AccountMenu($("account"), { user, signedIn }, { settings: () => settings.open(), signOut: () => leave(api.signOut).catch(fail) });
}

function listen() {
  showSuggestions($("suggestions"), (prompt) => composer.suggest(prompt));
  $("mode").addEventListener("change", ({ target }) => pick("mode", target.value));
  $("model").addEventListener("change", ({ target }) => pick("model", target.value));
  $("share").addEventListener("click", () => share.open({ projects: current.project?.id ?? null, chats: current.loaded ? current.id : null }));
  arrowTabs($("workbench-tabs"), (tab) => choose(tab.dataset.tab));
  arrowTabs($("pane-tabs"), (tab) => {
    if (tab.dataset.pane !== "chat") return choose(tab.dataset.pane);
    ui.pane = "chat";
    return draw();
  });
  $("new-chat").addEventListener("click", (event) => {
    // Already on "#/": there will be no hashchange.
    if (location.hash !== "" && location.hash !== "#/") return;
    event.preventDefault();
    route();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
    if (!drawer.dismiss()) composer.escape();
  });
  addEventListener("hashchange", () => (location.hash.startsWith("#/shared/") ? location.reload() : route()));
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the hash is the route
    composer.focus();
  });
}

function pick(name, value) {
  ui[name] = value;
  ui.picked.add(name);
  person.preferences.change({ [name]: value });
  draw();
}

function follow({ model, mode, sendKey, codeFontSize, wordWrap }) {
  for (const [name, value] of Object.entries({ model, mode })) if (!ui.picked.has(name)) ui[name] = value;
  if (!ui.picked.has("model") && ui.models.models.length > 0) $("model").value = chosenModel() ?? ui.models.default;
  app.style.setProperty("--code-size", `${codeFontSize}px`);
  app.dataset.wrap = String(wordWrap);
  $("prompt-hint").dataset.send = sendKey;
  if (current) draw();
}

/** Show the builder to `{user, signedIn, preferences, leave}`; `problem` is a sentence to begin with. */
export function start(here) {
  person = here;
  makeViews(here);
  if (here.user) makeAccount(here);
  listen();
  here.preferences.watch(follow);
  app.hidden = false;
  document.querySelector(".skip").hidden = false;
  route();
  if (here.problem) fail(new Error(here.problem));
  loadModels();
  refreshLists();
}
