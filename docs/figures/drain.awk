# Draws the drain curve: reads the table of docs/performance.md, writes an SVG.
#
#   awk -f docs/figures/drain.awk docs/performance.md > docs/figures/drain.svg
#
# The bars are the clients closed in each tenth of the drain window; the line is how many are left.

/^\| clients \|/ {
    count = split($0, cells, "|")
    for (i = 3; i < count; i++) { n++; closed[n] = cells[i] + 0; total += closed[n] }
}

END {
    if (n == 0) { print "drain.awk: no row `| clients |` in the input" > "/dev/stderr"; exit 1 }
    width = 640; height = 300; left = 56; right = 16; top = 28; bottom = 44
    plot_w = width - left - right; plot_h = height - top - bottom; step = plot_w / n
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"t\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n", width, height
    printf "<title id=\"t\">%d sessions closed over the drain window</title>\n", total
    print "<style>text{fill:#57606a}.bar{fill:#54aeff}.left{fill:none;stroke:#cf222e;stroke-width:2}.grid{stroke:#d0d7de}@media(prefers-color-scheme:dark){text{fill:#8b949e}.bar{fill:#1f6feb}.left{stroke:#ff7b72}.grid{stroke:#30363d}}</style>"
    for (g = 0; g <= 4; g++) {
        y = top + plot_h * g / 4
        printf "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n", left, y, width - right, y
        printf "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", left - 8, y + 4, total * (4 - g) / 4
    }
    open_sessions = total
    points = sprintf("%.1f,%.1f", left, top)
    for (i = 1; i <= n; i++) {
        bar = plot_h * closed[i] / total
        printf "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>tenth %d: %d closed</title></rect>\n", left + step * (i - 1) + 3, top + plot_h - bar, step - 6, bar, i, closed[i]
        open_sessions -= closed[i]
        points = points sprintf(" %.1f,%.1f", left + step * i, top + plot_h * (1 - open_sessions / total))
        printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n", left + step * (i - 0.5), height - bottom + 18, i
    }
    printf "<polyline class=\"left\" points=\"%s\"/>\n", points
    printf "<text x=\"%d\" y=\"16\">sessions open (line) and closed in each tenth of the window (bars)</text>\n", left
    printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">tenth of the drain window</text>\n", left + plot_w / 2, height - 8
    print "</svg>"
}
