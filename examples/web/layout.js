// Why it exists: what is where: the drawer, the splitter, and on a phone the one pane that shows.
// Law: every width is reachable by keyboard too, and a hidden drawer is out of the tab order.

export const PHONE = matchMedia("(max-width: 719px)");
const NARROW = matchMedia("(max-width: 1079px)");

/** The chat list: a column on wide screens (collapsible, remembered), a drawer on narrow ones. */
export function initSidebar({ app, sidebar, scrim, openButton, closeButton, preferences }) {
  let drawerOpen = false;

  const apply = () => {
    const open = NARROW.matches ? drawerOpen : preferences.value.layout.sidebar !== "closed";
    app.dataset.sidebar = open ? "open" : "closed";
    sidebar.inert = !open;
    for (const part of app.children) if (part !== sidebar && part !== scrim) part.inert = open && NARROW.matches;
    scrim.hidden = !(open && NARROW.matches);
    openButton.hidden = open && !NARROW.matches;
    openButton.setAttribute("aria-expanded", open);
  };
  const set = (open) => {
    drawerOpen = NARROW.matches && open;
    if (!NARROW.matches) preferences.change({ layout: { sidebar: open ? "open" : "closed" } });
    apply();
    (open ? closeButton : openButton).focus();
  };

  openButton.addEventListener("click", () => set(true));
  closeButton.addEventListener("click", () => set(false));
  scrim.addEventListener("click", () => set(false));
  NARROW.addEventListener("change", () => {
    drawerOpen = false;
    apply();
  });
  preferences.watch(apply);
  return {
    /** Close the drawer, if it is one and open; tells whether it was. */
    dismiss() {
      if (!NARROW.matches || !drawerOpen) return false;
      drawerOpen = false;
      apply();
      openButton.focus();
      return true;
    },
  };
}

const LEAST = 25;
const MOST = 70;

/** The bar between chat and workbench, in percent of both. */
export function initSplitter({ app, splitter, preferences }) {
  const set = (percent) => {
    const share = Math.min(MOST, Math.max(LEAST, Math.round(percent)));
    app.style.setProperty("--chat-share", String(share / 100));
    splitter.setAttribute("aria-valuenow", share);
    return share;
  };
  const keep = () => preferences.change({ layout: { chatShare: Number(splitter.getAttribute("aria-valuenow")) } });
  preferences.watch(({ layout }) => "dragging" in app.dataset || set(layout.chatShare));

  splitter.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    splitter.setPointerCapture(event.pointerId);
    app.dataset.dragging = "true";
  });
  splitter.addEventListener("pointermove", (event) => {
    if (!splitter.hasPointerCapture(event.pointerId)) return;
    const left = document.getElementById("pane-chat").getBoundingClientRect().left;
    set(((event.clientX - left) / (innerWidth - left)) * 100);
  });
  const release = () => {
    delete app.dataset.dragging;
    keep();
  };
  splitter.addEventListener("pointerup", release);
  splitter.addEventListener("pointercancel", release);
  splitter.addEventListener("keydown", (event) => {
    const now = Number(splitter.getAttribute("aria-valuenow"));
    const to = { ArrowLeft: now - 2, ArrowRight: now + 2, Home: LEAST, End: MOST }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    set(to);
    keep();
  });
}
