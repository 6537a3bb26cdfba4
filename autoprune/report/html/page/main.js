// Everything in its order: what is on the screen first, plots as they come near it.

whenSeen("plot-curve", drawCurve);
whenSeen("plot-graph", drawGraph);
whenSeen("plot-lineage", drawLineage);
whenSeen("plot-sparsity", drawSparsity);
whenSeen("plot-skewness", drawSkewness);
whenSeen("plot-errors", drawErrors);
whenSeen("plot-cause", drawCause);
whenSeen("plot-front", drawFront);
startTheme(redraw);
startSheet();
startLayers();
startGraph();
startKinds();
startTable();
startPlots();
document.documentElement.dataset.ready = "yes";
performance.mark("ready");
