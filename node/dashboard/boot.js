// Loads what the page is made of, and again what did not come: a busy machine may lose a connection, and a person should not
// have to know that.

/** Pause before a try again, in milliseconds. */
const PAUSE = 2_000;

/** Browsers differ in what a style that did not come is: none, one without rules, or one that must not be asked. */
function isThere({ sheet }) {
  try {
    return sheet.cssRules.length > 0;
  } catch {
    return false;
  }
}

/** Asks anew for styles that did not come. */
function styled() {
  const lost = [...document.querySelectorAll("link[rel=stylesheet]")].filter((link) => !isThere(link));
  lost.forEach((link) => link.replaceWith(link.cloneNode()));
  if (lost.length > 0) setTimeout(styled, PAUSE);
}

styled();
import("/dashboard/app.js").catch((error) => {
  if (error instanceof SyntaxError) {
    document.querySelector("#main .waiting").textContent =
      "This browser is too old for this page. Use a newer one, or lattice status.";
    return;
  }
  document.getElementById("link-words").textContent = "loading again";
  console.info(`a script of this page did not come: ${error.message}`);
  setTimeout(() => location.reload(), PAUSE);
});
