// Why it exists: a few line icons drawn in place, so that they take the text's color and need no request.
// Law: icons are decoration (aria-hidden); whatever carries one has a name of its own.

const PATHS = {
  panel: "M4 5.500h16v13H4zM9.5 5.500v13",
  plus: "M12 5v14M5 12h14",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2.500v2M12 19.500v2M2.5 12h2M19.5 12h2M5.3 5.300l1.4 1.400M17.3 17.300l1.4 1.400M5.3 18.700l1.4-1.400M17.3 6.700l1.4-1.4",
  moon: "M19.5 14.200A8 8 0 0 1 9.8 4.500a8 8 0 1 0 9.7 9.700Z",
  up: "M12 19V5.500M6 11l6-6 6 6",
  down: "M12 5v13.500M6 13l6 6 6-6",
  stop: "M7 7h10v10H7z",
  sparkle: "M12 4l1.8 5.200L19 11l-5.2 1.800L12 18l-1.8-5.200L5 11l5.2-1.800zM18.5 16.500v4M16.5 18.500h4",
  undo: "M8.5 5 4.5 9l4 4M5 9h9.500a5 5 0 0 1 0 10H9",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12ZM12 9.200a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.600Z",
  code: "M8.5 7 3.5 12l5 5M15.5 7l5 5-5 5",
  chat: "M4.5 5.500h15v11H12l-4 3.500v-3.500H4.500z",
  download: "M12 4v11M7 10.500l5 5 5-5M5 19.500h14",
  trash: "M5 7h14M10 7V4.500h4V7M7 7l.8 12.500h8.400L17 7M10.5 10.500v5.500M13.5 10.500v5.5",
  file: "M7 3.500h6.500L18 8v12.500H7zM13.5 3.500V8H18",
  folder: "M3.5 6.500h6l2 2h9v10h-17z",
  terminal: "M4 5h16v14H4zM7.5 9.500l3 2.5-3 2.500M12.5 15h4",
  edit: "M5 19l.8-3.600L15.5 5.700l2.8 2.8-9.7 9.700zM13.5 7.700l2.8 2.8",
  check: "M5 12.500l4.5 4.500L19 7.5",
  alert: "M12 4.5 21 19.500H3zM12 10v4.500M12 17v.2",
  chevron: "M9 6l6 6-6 6",
  reload: "M19 12a7 7 0 1 1-2.1-5M19.5 3.500V8H15",
  external: "M13.5 4.500h6v6M19.5 4.5 11 13M10 6.500H5.500v12h12V14",
  copy: "M9 9h10.500v10.500H9zM6 15H4.500V4.500H15V6",
  phone: "M8 3.500h8v17H8zM11 18h2",
  box: "M12 3.5 20 8v8l-8 4.500L4 16V8zM4 8l8 4.500L20 8M12 12.500v8",
  bulb: "M9 17.500h6M10 20.500h4M12 3.500a6 6 0 0 0-3.5 10.900c.4.3.5.7.5 1.100h6c0-.4.1-.8.5-1.100A6 6 0 0 0 12 3.500Z",
  close: "M6 6l12 12M18 6 6 18",
  sliders: "M4 7.500h8.500M17.5 7.500h2.500M4 16.500h2.500M11.5 16.500h8.500M15 5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5ZM9 14a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5Z",
  leave: "M13.5 4.500H5.500v15h8M10 12h10.500M17 8.500l3.5 3.5-3.5 3.500",
  key: "M8.5 11a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM11.4 12.100 19.5 4M16.5 7l2.5 2.500M13.800 9.700l1.7 1.700",
  bolt: "M13.6 3 6 13.500h5.500L10.4 21 18 10.500h-5.500z",
  screen: "M4 5h16v10.500H4zM9 19.500h6M12 15.500v4",
  archive: "M4 5h16v4H4zM5.5 9v10.500h13V9M10 12.500h4",
  link: "M10 14a4 4 0 0 0 5.700.3l3-3a4 4 0 0 0-5.700-5.700l-1.200 1.200M14 10a4 4 0 0 0-5.700-.3l-3 3a4 4 0 0 0 5.700 5.700l1.200-1.200",
};

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Put one icon into an element, in place of whatever icon it had. */
export function fillIcon(element, name) {
  if (element.dataset.shown === name) return;
  element.dataset.shown = name;
  element.querySelector(":scope > .icon")?.remove();
  element.prepend(icon(name));
}

/** Draw every `data-icon` placeholder of the static page. */
export function fillIcons(root) {
  for (const element of root.querySelectorAll("[data-icon]")) fillIcon(element, element.dataset.icon);
}
