// Why it exists: a reply may take minutes, and whoever waits does something else meanwhile.
// Law: nobody is asked for the permission before they have chosen to be told.

export const canNotify = () => "Notification" in globalThis;

/** Whether the browser lets the page do it; asks the person where that is open. */
export const mayNotify = async () => (await Notification.requestPermission()) === "granted";

/** Say that a reply has ended, if the page is out of sight. */
export function notifyOf({ id, title, complete }) {
  if (!document.hidden || !canNotify() || Notification.permission !== "granted") return;
  const notification = new Notification(title || "openbolt", { body: complete ? "The reply is complete." : "The reply has ended.", tag: id });
  notification.onclick = () => focus();
}
