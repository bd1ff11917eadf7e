// Under the pointer, a chart says its values; at rest it says the last ones. Everything else needs no script.
for (const plot of document.querySelectorAll("[data-readout]")) {
  const rows = JSON.parse(plot.dataset.readout);
  const hair = plot.querySelector(".hair");
  const readout = plot.closest("figure").querySelector(".readout");
  const atRest = readout.textContent;
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width;
    const nearest = rows.reduce((best, row) => (Math.abs(row[0] - at) < Math.abs(best[0] - at) ? row : best));
    hair.style.left = `${100 * nearest[0]}%`;
    hair.hidden = false;
    readout.textContent = nearest[1];
  });
  plot.addEventListener("pointerleave", () => {
    hair.hidden = true;
    readout.textContent = atRest;
  });
}
const open = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", open);
open();
