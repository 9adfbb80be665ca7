import Histogram
import Testing

@testable import LoadKit

@Suite struct ReportTests {
    @Test("numbers are rounded half away from zero, with all their digits")
    func rounding() {
        #expect(rounded(0, 0) == "0")
        #expect(rounded(1.005, 1) == "1.0")
        #expect(rounded(2.06, 1) == "2.1")
        #expect(rounded(-0.04, 1) == "0.0")
        #expect(rounded(-1.26, 1) == "-1.3")
        #expect(rounded(9.999, 2) == "10.00")
        #expect(rounded(12.03, 3) == "12.030")
    }

    @Test("processor time is read behind a name with blanks and parentheses")
    func processorTime() {
        let stat = "12 (a ) (b) S 1 12 12 0 -1 4194304 1 2 3 4 100 20 3 4 20 0 1 0 5"
        #expect(ProcessorTime.ticks(inStat: Array(stat.utf8)) == 127)
        #expect(ProcessorTime.ticks(inStat: Array("12 (a) S 1".utf8)) == nil)
        #expect(ProcessorTime.used(by: [0x7fff_ffff]) == nil)
    }

    @Test("a report divides processor time by what was answered meanwhile")
    func perDelivery() {
        var measurement = Measurement()
        measurement.elapsedNanoseconds = 2_000_000_000
        measurement.answeredInTime = 100_000
        measurement.statuses[200] = 100_000
        measurement.arrived = 100_001
        measurement.errors.closed = 1
        measurement.serverProcessorNanoseconds = 1_000_000_000
        for _ in 0..<1000 { measurement.latency.record(50_000) }
        let report = Report(plan: Plan(), measurement: measurement, byteCount: 8192)
        #expect(report.serverMicrosecondsPerDelivery == 10)
        #expect(report.json.contains(#""server_cpu_us_per_delivery":10.000"#))
        #expect(report.json.contains(#""answered_per_second":50000.0"#))
        #expect(report.json.contains(#""statuses":{"200":100000}"#))
        #expect(report.json.contains(#""errors":{"connect":0,"closed":1,"malformed":0,"unanswered":0}"#))
        #expect(report.text.contains("10.00 us of CPU per delivery, busy 50 %"))
    }
}
