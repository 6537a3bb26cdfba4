// Starts the page.

startTheme(() => {});
startActions();
follow((message) => {
  Object.values(message.rows).forEach(drawRow);
  drawHead(message.head, message.seconds);
  drawLines(message.lines);
  drawPending(message.pending);
  drawForks(message.forks);
  byId("report").href = message.report;
  byId("report").hidden = false;
}, (problem) => {
  byId("connection").textContent = problem;
  byId("connection").hidden = !problem;
});
