// Light, dark, or as the system: remembered by the browser.

const CHOICES = ["system", "light", "dark"];
const WORDS = { system: "Auto", light: "Light", dark: "Dark" };

function remembered() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}

function show(choice, button) {
  document.documentElement.dataset.theme = choice;
  button.textContent = WORDS[choice];
  button.setAttribute("aria-label", `Theme: ${WORDS[choice]}. Change`);
}

/** Shows the remembered choice, and gives what moves on to the next. */
export function theme(button) {
  let choice = CHOICES.includes(remembered()) ? remembered() : "system";
  show(choice, button);
  const next = () => {
    choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
    show(choice, button);
    try {
      localStorage.setItem("theme", choice);
    } catch {
      // A browser that remembers nothing.
    }
  };
  button.addEventListener("click", next);
  return next;
}
