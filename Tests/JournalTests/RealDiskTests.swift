// The journal on a real file system, with its preparing thread.

import Glibc
import Metrics
import Testing

@testable import Journal

/// A directory of its own, removed with everything in it.
final class TemporaryDirectory {
    let path: String

    init() {
        var template = Array("/tmp/grapnel-journal-XXXXXX".utf8CString)
        path = String(cString: mkdtemp(&template)!)
    }

    deinit { remove(path) }

    private func remove(_ path: String) {
        if let stream = opendir(path) {
            while let entry = readdir(stream) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != ".." { remove(path + "/" + name) }
            }
            closedir(stream)
            rmdir(path)
        } else {
            unlink(path)
        }
    }
}

private func open(_ path: String, _ options: JournalOptions? = nil) throws -> (JournalWriter, RecoveryReport) {
    var options =
        options
        ?? JournalOptions(
            maxBytes: 8 << 20, segmentBytes: 1 << 20, firstSegmentBytes: 256 << 10, recordBytesMax: 256 << 10)
    options.directory = path
    return try JournalWriter.open(options: options, checksum: tableChecksum, now: seconds(1000))
}

private func mode(_ path: String) -> mode_t {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mode & 0o777 : 0
}

@Suite("Journal on a real disk")
struct RealDiskTests {
    @Test("a path through a file, a missing parent and a taken lock are each one clear error")
    func errors() throws {
        let directory = TemporaryDirectory()
        let file = directory.path + "/file"
        Glibc.close(Glibc.open(file, O_CREAT | O_WRONLY, 0o600))
        #expect(throws: JournalError.notADirectory) { try open(file) }
        #expect(throws: JournalError.notADirectory) { try open(file + "/below") }
        #expect(throws: JournalError.missing) { try open(directory.path + "/a/b") }
        let (writer, _) = try open(directory.path + "/data")
        let error = #expect(throws: JournalError.self) { try open(directory.path + "/data") }
        #expect(error == .locked)
        #expect(error?.message(dataDirectory: "data").contains("in use by another grapnel") == true)
        writer.close(now: seconds(1000))
        // The lock goes with its holder.
        try open(directory.path + "/data").0.close(now: seconds(1001))
    }

    @Test("a directory that may not be written says so", .enabled(if: geteuid() != 0, "root may write everywhere"))
    func unwritable() throws {
        let directory = TemporaryDirectory()
        chmod(directory.path, 0o500)
        #expect(throws: JournalError.notWritable(code: EACCES)) { try open(directory.path + "/data") }
    }

    @Test("directories are 0700 and files 0600, whatever the umask")
    func modes() throws {
        let directory = TemporaryDirectory()
        let (writer, _) = try open(directory.path + "/data")
        #expect(mode(directory.path + "/data") == 0o700)
        #expect(mode(directory.path + "/data/lock") == 0o600)
        #expect(mode(directory.path + "/data/journal") == 0o700)
        #expect(mode(directory.path + "/data/journal/0000000000000001.segment") == 0o600)
        writer.close(now: seconds(1000))
    }

    /// Processor time of this thread: what other programs do to the disk and the processors does not count.
    @Test("a new data directory is well under 100 ms of work with the sizes of a server")
    func readyFast() throws {
        func worked() -> UInt64 {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        }
        let directory = TemporaryDirectory()
        var best = UInt64.max
        for attempt in 0..<3 {
            let start = worked()
            let (writer, _) = try open(directory.path + "/\(attempt)", JournalOptions())
            best = min(best, worked() - start)
            writer.close(now: seconds(1000))
        }
        #expect(best < 100_000_000, "\(best) ns")
    }

    @Test("with the preparing thread: wraps many times, restarts, and every owed delivery is there")
    func wraps() throws {
        let directory = TemporaryDirectory()
        var (writer, report) = try open(directory.path)
        var owed: [UInt64: [UInt8]] = [:]
        for round in 0..<3 {
            for number in 0..<400 {
                let delivery = TestDelivery(body: Array(repeating: UInt8(number & 0xFF), count: 40_000))
                let isOwed = number % 97 == 0
                delivery.decision = isOwed ? .accepted : .stored
                let sequence = try store(delivery, in: writer)
                if isOwed { owed[sequence] = delivery.body }
                if number % 50 == 0 { writer.tick(now: seconds(1000 + round * 1000 + number)) }
            }
            #expect(writer.bytesUsed <= 9 << 20)
            writer.close(now: seconds(5000))
            (writer, report) = try open(directory.path)
            #expect(report.damage.isEmpty)
            #expect(report.owed.map(\.sequence) == owed.keys.sorted())
            for delivery in report.owed {
                let record = try #require(try writer.reader.read(delivery.location, expecting: delivery.sequence))
                #expect(Array(record.body) == owed[delivery.sequence])
            }
        }
        writer.close(now: seconds(6000))
    }

    @Test("readers on other threads get whole records or nothing while segments are recycled under them")
    func readers() throws {
        let directory = TemporaryDirectory()
        let (writer, _) = try open(directory.path)
        let reading = Reading(reader: writer.reader)
        var threads: [pthread_t] = []
        for _ in 0..<2 {
            var thread = pthread_t()
            pthread_create(
                &thread, nil,
                { argument in
                    Unmanaged<Reading>.fromOpaque(argument!).takeRetainedValue().run()
                    return nil
                }, Unmanaged.passRetained(reading).toOpaque())
            threads.append(thread)
        }
        for number in 0..<1500 {
            let delivery = TestDelivery(body: Array(repeating: UInt8(number & 0xFF), count: 20_000))
            let sequence = try store(delivery, in: writer)
            reading.offer(writer.committedDeliveries[0])
            writer.appendOutcomes([OutcomeEntry(sequence: sequence, outcome: .done)], now: 0)
        }
        reading.stop()
        for thread in threads { pthread_join(thread, nil) }
        #expect(writer.metrics.segmentsRecycled.value > 5)
        #expect(reading.result.failures == 0)
        #expect(reading.result.whole > 0)
        #expect(reading.result.gone > 0)
        writer.close(now: 0)
    }
}

/// Reads what it is offered, and sometimes what it was offered long ago.
private final class Reading: Sendable {
    struct Result {
        var whole = 0
        var gone = 0
        var failures = 0
    }

    private struct State {
        var offered: [CommittedDelivery] = []
        var result = Result()
        var isStopping = false
    }

    private let state = Locked(State())
    private let reader: JournalReader

    init(reader: JournalReader) { self.reader = reader }

    var result: Result { state.withLock { $0.result } }
    func offer(_ delivery: CommittedDelivery) { state.withLock { $0.offered.append(delivery) } }
    func stop() { state.withLock { $0.isStopping = true } }

    func run() {
        var generator = SystemRandomNumberGenerator()
        while true {
            let (delivery, isStopping) = state.withLock { state in
                (generator.next() % 3 == 0 ? state.offered.randomElement() : state.offered.last, state.isStopping)
            }
            if isStopping { return }
            guard let delivery else { continue }
            do {
                let record = try reader.read(delivery.location, expecting: delivery.sequence)
                let isWhole = record.map { $0.body.count == 20_000 && Set($0.body).count == 1 }
                state.withLock { state in
                    switch isWhole {
                    case nil: state.result.gone += 1
                    case true?: state.result.whole += 1
                    case false?: state.result.failures += 1
                    }
                }
            } catch {
                state.withLock { $0.result.failures += 1 }
            }
        }
    }
}
