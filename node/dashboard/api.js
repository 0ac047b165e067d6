// What the page asks the node: this node and no other, with the token where one is wanted.

const KEPT = "read-token";

let asking = null;

function token() {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function keepToken(text) {
  try {
    sessionStorage.setItem(KEPT, text);
  } catch {
    // Asked for again at the next request.
  }
}

/** Asks the person for the token; several requests wait for one answer. */
function askToken(wrong) {
  const dialog = document.getElementById("token");
  document.getElementById("token-wrong").textContent = wrong ? "That is not this node’s token." : "";
  asking ??= new Promise((given) => {
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    document.getElementById("token-form").addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        const field = document.getElementById("token-text");
        keepToken(field.value.trim());
        field.value = "";
        dialog.close();
        asking = null;
        given();
      },
      { once: true },
    );
    if (!dialog.open) dialog.showModal();
  });
  return asking;
}

/** A response that says yes; else an error with the node's own words. */
export async function ask(path, signal) {
  for (;;) {
    const shown = token();
    const headers = shown ? { authorization: `Bearer ${shown}` } : {};
    const response = await fetch(path, { headers, signal, cache: "no-store" });
    if (response.ok) return response;
    if (response.status === 401) {
      await askToken(shown !== null);
      continue;
    }
    const problem = await response.json().catch(() => null);
    const error = new Error(problem?.detail ?? `the node answered ${response.status}`);
    error.status = response.status;
    throw error;
  }
}

export const json = async (path) => (await ask(path)).json();

export const text = async (path) => (await ask(path)).text();
