// ProcessorTime: what the server's processes have used, from /proc/PID/stat (proc(5)).

import Glibc

func logarithm(_ value: Double) -> Double { log(value) }

/// Processor time of processes.
public enum ProcessorTime {
    /// User and system time of `processes` and of their children that have ended, in nanoseconds, to a clock tick
    /// (10 ms). nil when one of them cannot be read.
    public static func used(by processes: [Int32]) -> UInt64? {
        var ticks: UInt64 = 0
        for process in processes {
            guard let text = contents(of: "/proc/\(process)/stat"), let used = self.ticks(inStat: text) else {
                return nil
            }
            ticks += used
        }
        return ticks * (1_000_000_000 / UInt64(sysconf(Int32(_SC_CLK_TCK))))
    }

    /// Resident memory of `processes` in bytes.
    public static func residentBytes(of processes: [Int32]) -> UInt64? {
        var pages: UInt64 = 0
        for process in processes {
            guard let text = contents(of: "/proc/\(process)/statm") else { return nil }
            let fields = text.split(separator: UInt8(ascii: " "))
            guard fields.count > 1, let resident = UInt64(String(decoding: fields[1], as: UTF8.self)) else {
                return nil
            }
            pages += resident
        }
        return pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// utime + stime + cutime + cstime of a `stat` file: fields 14 to 17, counted behind the name, which may itself
    /// hold blanks and parentheses.
    static func ticks(inStat text: [UInt8]) -> UInt64? {
        guard let close = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = text[(close + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 14 else { return nil }
        var sum: UInt64 = 0
        for field in fields[11...14] {
            guard let value = UInt64(String(decoding: field, as: UTF8.self)) else { return nil }
            sum += value
        }
        return sum
    }

    private static func contents(of path: String) -> [UInt8]? {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(fd, &bytes, bytes.count)
        guard count > 0 else { return nil }
        return Array(bytes[..<count])
    }
}
