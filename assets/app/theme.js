// Light or dark: as chosen here, else as the system has it.

export const theme = {
  start() {
    const chosen = localStorage.getItem("apu.theme");
    const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.body.classList.toggle("dark", dark);
  },
  toggle() {
    const dark = document.body.classList.toggle("dark");
    localStorage.setItem("apu.theme", dark ? "dark" : "light");
  },
};
