// The curator's name where there are no accounts: given in this browser, and kept in a cookie too, so that the server
// knows who looks at a picture (app/who.py).

const STORE = "apu.curator";
const YEAR_S = 31536000;

/** The name that was given here; "" where none was. */
export const given = () => localStorage.getItem(STORE) ?? "";

/** Take a name, or "" for the server's own choice again. */
export function give(name) {
  if (name) localStorage.setItem(STORE, name);
  else localStorage.removeItem(STORE);
}

/** Let the browser say this name with everything it asks for. */
export function tell(name) {
  document.cookie = `apu_curator_${location.port}=${encodeURIComponent(name)}; path=/; max-age=${YEAR_S}; samesite=strict`;
}
