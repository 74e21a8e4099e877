// What only the browser can do: cookies, scrolling, focus, and what others draw outside our pages.
const attune = {
  isReading: false,
  remember(name, value) {
    document.cookie = `attune-${name}=${encodeURIComponent(value)}; path=/; max-age=31536000; SameSite=Strict`;
  },
  // People who read further up are left where they are.
  toBottom(isForced) {
    if (isForced) this.isReading = false;
    if (this.isReading) return;
    requestAnimationFrame(() => window.scrollTo({ top: document.documentElement.scrollHeight }));
  },
  // The end of the conversation stays in view while it grows.
  follow() {
    new ResizeObserver(() => this.toBottom(false)).observe(document.getElementById("main"));
    this.toBottom(true);
  },
  count(numbers) {
    for (const badge of document.querySelectorAll("[data-count]")) {
      const number = numbers[badge.dataset.count];
      badge.textContent = number ?? "";
      badge.hidden = !number || number === "0";
    }
  },
  // Ctrl-K, where the browser would search the web.
  find(event) {
    const button = document.querySelector(".find");
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "k" || !button) return;
    event.preventDefault();
    if (!document.querySelector(".palette")) button.click();
  },
  focus(selector) {
    requestAnimationFrame(() => document.querySelector(selector)?.focus());
  },
  // The parts that the libraries draw without a name.
  name(words) {
    const bar = document.getElementById("q-loading-bar");
    if (bar) bar.setAttribute("aria-hidden", "true");
    for (const holder of document.querySelectorAll(".q-drawer-container")) {
      const drawer = holder.querySelector(".q-drawer");
      const label = drawer?.querySelector("[aria-label]")?.getAttribute("aria-label");
      if (label) drawer.setAttribute("aria-label", label);
      // A drawer is made anew when the window becomes as wide as a phone.
      holder.watched ??= this.watch(holder);
    }
    const popup = document.getElementById("popup");
    if (!words || !popup) return;
    popup.setAttribute("role", "alert");
    [...popup.children].forEach((line, index) => (line.textContent = words[index]));
  },
  watch(element) {
    const observer = new MutationObserver(() => this.name());
    observer.observe(element, { childList: true });
    return observer;
  },
  // A new process knows no session of the old one: then the way leads to the login.
  async knock() {
    try {
      const answer = await fetch("/studio-assets/favicon.svg", { redirect: "manual", cache: "no-store" });
      if (answer.type === "opaqueredirect") window.location.reload();
    } catch {
      // It is still away.
    }
  },
};

// Going up means reading; messages that grow move the end away, but nobody up.
let lastTop = 0;
window.addEventListener("scroll", () => {
  const left = document.documentElement.scrollHeight - window.scrollY - window.innerHeight;
  if (left < 80) attune.isReading = false;
  else if (window.scrollY < lastTop) attune.isReading = true;
  lastTop = window.scrollY;
}, { passive: true });

// NiceGUI names a list of its own for every input, until somebody goes there.
document.addEventListener("focusin", (event) => {
  if (event.target.closest(".of-people")) event.target.setAttribute("list", "people");
});
document.addEventListener("keydown", (event) => attune.find(event));

document.addEventListener("DOMContentLoaded", () => {
  attune.watch(document.body);
  setInterval(() => {
    if (document.getElementById("popup")?.ariaHidden === "false") attune.knock();
  }, 2000);
});
