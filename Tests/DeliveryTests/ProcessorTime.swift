// ProcessorTime: what this thread has worked, for tests of inputs that would take minutes if they were read the wrong way. Other
// programs on the machine do not count, and a sanitizer's slowness is allowed for.

#if canImport(Glibc)
    import Glibc
#endif
import Testing

struct ProcessorTime {
    private let started = now

    /// Fails when this thread has worked longer than that since. The limit tells minutes from moments, nothing finer.
    func expectAtMost(_ seconds: Double, _ location: SourceLocation = #_sourceLocation) {
        let spent = Self.now - started
        let limit = getenv("GRAPNEL_SANITIZER") == nil ? seconds : 20 * seconds
        #expect(spent < limit, "\(spent) s of processor time", sourceLocation: location)
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
