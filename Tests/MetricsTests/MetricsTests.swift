import Testing

@testable import Metrics

@Suite("Metrics")
struct MetricsTests {
    @Test("a family reads as the exposition format says")
    func family() {
        var text = PrometheusText()
        text.begin("x_total", .counter, "What it counts.")
        text.sample([("a", "1"), ("b", "q\"u\\o\nte")], UInt64(7))
        text.sample([], 0.25)
        #expect(
            text.text == """
                # HELP x_total What it counts.
                # TYPE x_total counter
                x_total{a="1",b="q\\"u\\\\o\\nte"} 7
                x_total 0.25

                """)
    }

    @Test("histograms of several loops are one distribution, cumulative, with +Inf as the count")
    func histogram() {
        let parts = [Histogram(bounds: [1, 2]), Histogram(bounds: [1, 2])]
        for value in [0.5, 1.0, 1.5] { parts[0].observe(value) }
        for value in [2.0, 99.0] { parts[1].observe(value) }
        var text = PrometheusText()
        text.begin("h", .histogram, "H.")
        text.histogram([], parts)
        for line in [
            "h_bucket{le=\"1\"} 2", "h_bucket{le=\"2\"} 4", "h_bucket{le=\"+Inf\"} 5", "h_sum 104", "h_count 5",
        ] {
            #expect(text.text.contains(line + "\n"))
        }
    }

    @Test("numbers never depend on a locale and whole ones have no point")
    func numbers() {
        #expect(PrometheusText.number(3) == "3")
        #expect(PrometheusText.number(-0.5) == "-0.5")
        #expect(PrometheusText.number(.infinity) == "+Inf")
        #expect(PrometheusText.number(.nan) == "NaN")
    }
}
