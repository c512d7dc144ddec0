# Draws one of the figures of docs/performance.md from raw measurements, as an SVG:
#
#   awk -v figure=cost-size -f docs/figures/curves.awk docs/figures/data/curves.csv > docs/figures/cost-size.svg
#
# A line of the input is a measurement: figure,subject,x,value. Each point of a curve is the median of the measurements
# with the same figure, subject and x.

BEGIN {
    FS = ","
    if (figure == "cost-size")
        describe("CPU time for one message there and back; 20 connections, 4 messages in flight each", "size of a message", "log", "log", "µs")
    else if (figure == "cost-sessions")
        describe("CPU time for one message there and back; 64 bytes, one in flight in each session", "sessions", "log", "linear", "µs")
    else if (figure == "cost-pipelines")
        describe("CPU time for one message there and back; 64 bytes, 100 connections, 8 in flight each", "incoming pipelines that look at each message", "linear", "linear", "µs")
    else if (figure == "memory-sessions")
        describe("Resident memory of the proxy", "idle sessions", "linear", "linear", "MB")
    else fail("unknown figure `" figure "`")
}

$1 == figure {
    if (!($2 in known)) { known[$2] = 1; subjects[++subject_count] = $2 }
    if (!($3 in seen)) { seen[$3] = 1; xs[++x_count] = $3 + 0 }
    samples[$2, $3 + 0, ++counts[$2, $3 + 0]] = $4 + 0
}

END {
    if (failed) exit 1
    if (!x_count) { fail("no measurements of `" figure "`"); exit 1 }
    sort_xs()
    for (s = 1; s <= subject_count; s++) for (i = 1; i <= x_count; i++)
        if (counts[subjects[s], xs[i]]) {
            value = median(subjects[s], xs[i])
            medians[subjects[s], xs[i]] = value
            if (value > y_max) y_max = value
            if (!y_min || value < y_min) y_min = value
        }
    width = 640; height = 340; left = 56; right = 16; top = 56; bottom = 44
    plot_w = width - left - right; plot_h = height - top - bottom
    head(); y_axis(); x_axis()
    for (s = 1; s <= subject_count; s++) curve(s)
    print "</svg>"
}

function fail(text) { print "curves.awk: " text > "/dev/stderr"; failed = 1; exit 1 }

function describe(t, x, x_kind, y_kind, u) { title = t; x_title = x; x_scale = x_kind; y_scale = y_kind; unit = u }

function sort_xs(   i, j, x) {
    for (i = 2; i <= x_count; i++) {
        x = xs[i]
        for (j = i - 1; j >= 1 && xs[j] > x; j--) xs[j + 1] = xs[j]
        xs[j + 1] = x
    }
}

function median(subject, x,   i, j, n, v, sorted) {
    n = counts[subject, x]
    for (i = 1; i <= n; i++) {
        v = samples[subject, x, i]
        for (j = i - 1; j >= 1 && sorted[j] > v; j--) sorted[j + 1] = sorted[j]
        sorted[j + 1] = v
    }
    return n % 2 ? sorted[(n + 1) / 2] : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}

function x_at(x) {
    if (x_count == 1) return left + plot_w / 2
    if (x_scale == "log") return left + plot_w * (log(x) - log(xs[1])) / (log(xs[x_count]) - log(xs[1]))
    return left + plot_w * x / xs[x_count]
}

function y_at(y) {
    if (y_scale == "log") return top + plot_h * (log(y_top) - log(y)) / (log(y_top) - log(y_low))
    return top + plot_h * (1 - y / y_top)
}

# The class of a subject's curve: colour and dashes.
function class(s) { return "c" s }

function head(   s, at) {
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"t\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n", width, height
    printf "<title id=\"t\">%s</title>\n", title
    print "<style>text{fill:#57606a}polyline{fill:none;stroke-width:2}.grid{stroke:#d0d7de}.c1{stroke:#0969da}.c2{stroke:#1a7f37;stroke-dasharray:7 4}.c3{stroke:#bc4c00;stroke-dasharray:2 4}circle{stroke:none}circle.c1{fill:#0969da}circle.c2{fill:#1a7f37}circle.c3{fill:#bc4c00}@media(prefers-color-scheme:dark){text{fill:#8b949e}.grid{stroke:#30363d}.c1{stroke:#58a6ff}.c2{stroke:#3fb950}.c3{stroke:#f0883e}circle{stroke:none}circle.c1{fill:#58a6ff}circle.c2{fill:#3fb950}circle.c3{fill:#f0883e}}</style>"
    printf "<text x=\"%d\" y=\"16\">%s</text>\n", left, title
    at = left
    for (s = 1; s <= subject_count; s++) {
        printf "<line class=\"%s\" stroke-width=\"2\" x1=\"%d\" y1=\"34\" x2=\"%d\" y2=\"34\"/>\n", class(s), at, at + 28
        printf "<text x=\"%d\" y=\"38\">%s</text>\n", at + 34, subjects[s]
        at += 50 + 7 * length(subjects[s])
    }
}

function grid(y, label) {
    printf "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n", left, y_at(y), width - right, y_at(y)
    printf "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", left - 8, y_at(y) + 4, label
}

function y_axis(   step, y) {
    if (y_scale == "log") {
        for (y_low = 1000000; y_low > y_min; ) y_low /= 10
        for (y_top = y_low; y_top < y_max; ) y_top *= 10
        for (y = y_low; y <= y_top * 1.001; y *= 10) grid(y, sprintf("%g %s", y, unit))
        return
    }
    for (step = 0.001; step * 5 < y_max; ) step *= (substr(sprintf("%e", step * 1.0001), 1, 1) == 2) ? 2.5 : 2
    y_top = step * 5
    for (y = 0; y <= y_top * 1.001; y += step) grid(y, sprintf("%g %s", y, unit))
}

function bytes(x) { return x < 1024 ? x " B" : x < 1048576 ? x / 1024 " KiB" : x / 1048576 " MiB" }

function grouped(x) { return x < 1000 ? x "" : sprintf("%d,%03d", x / 1000, x % 1000) }

function x_label(x) { return figure == "cost-size" ? bytes(x) : grouped(x) }

function x_axis(   i) {
    for (i = 1; i <= x_count; i++)
        printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x_at(xs[i]), height - bottom + 18, x_label(xs[i])
    printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", left + plot_w / 2, height - 8, x_title
}

function curve(s,   i, points) {
    for (i = 1; i <= x_count; i++) if ((subjects[s], xs[i]) in medians)
        points = points sprintf(" %.1f,%.1f", x_at(xs[i]), y_at(medians[subjects[s], xs[i]]))
    printf "<polyline class=\"%s\" points=\"%s\"/>\n", class(s), substr(points, 2)
    for (i = 1; i <= x_count; i++) if ((subjects[s], xs[i]) in medians)
        printf "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>%s, %s: %.3g %s</title></circle>\n", class(s), x_at(xs[i]), y_at(medians[subjects[s], xs[i]]), subjects[s], x_label(xs[i]), medians[subjects[s], xs[i]], unit
}
