// What only the browser can do: cookies, scrolling, and the keyboard of the composer.
const attune = {
  remember(name, value) {
    document.cookie = `attune-${name}=${encodeURIComponent(value)}; path=/; max-age=31536000; SameSite=Strict`;
  },
  // People who read further up are left where they are.
  toBottom(isForced) {
    const distance = document.documentElement.scrollHeight - window.scrollY - window.innerHeight;
    if (isForced || distance < 260) {
      requestAnimationFrame(() => window.scrollTo({ top: document.documentElement.scrollHeight }));
    }
  },
  focus(selector) {
    requestAnimationFrame(() => document.querySelector(selector)?.focus());
  },
};
