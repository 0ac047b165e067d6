// Loads the page's scripts, and the whole page again if one of them did not come: a busy machine may lose a connection, and
// a person should not have to know that.

/** Pause before the page is loaded again, in milliseconds. */
const PAUSE = 2_000;

import("/dashboard/app.js").catch((error) => {
  document.getElementById("link-words").textContent = "loading again";
  console.info(`a script of this page did not come: ${error.message}`);
  setTimeout(() => location.reload(), PAUSE);
});
