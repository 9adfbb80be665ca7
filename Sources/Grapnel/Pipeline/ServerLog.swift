// ServerLog: one line per event on standard error, as text or as JSON. Fixed messages, everything else in fields.

internal import CLinuxIO
internal import Foundation
internal import Logging
internal import Synchronization

/// Where log lines go. One write per line, so that lines of several threads never mix.
struct ServerLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    let isJSON: Bool

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata
        if let extra = event.metadata { fields.merge(extra) { _, new in new } }
        var line =
            isJSON ? Self.json(event.level, event.message, fields) : Self.text(event.level, event.message, fields)
        line += "\n"
        FileHandle.standardError.write(Data(line.utf8))
    }

    private static func timestamp() -> String {
        var spec = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &spec)
        var parts = unsafe tm()
        var seconds = spec.tv_sec
        unsafe gmtime_r(&seconds, &parts)
        func pad(_ value: Int32, _ width: Int = 2) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let (year, month, day) = unsafe (parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday)
        let time = unsafe "\(pad(parts.tm_hour)):\(pad(parts.tm_min)):\(pad(parts.tm_sec))"
        return "\(year)-\(pad(month))-\(pad(day))T\(time).\(pad(Int32(spec.tv_nsec / 1_000_000), 3))Z"
    }

    private static func text(_ level: Logger.Level, _ message: Logger.Message, _ fields: Logger.Metadata) -> String {
        var line = "\(timestamp()) \(level.rawValue.uppercased()) \(message)"
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            let text = clean("\(value)")
            line +=
                text.contains(where: { $0 == " " || $0 == "\"" })
                ? " \(key)=\"\(text.replacing("\"", with: "\\\""))\"" : " \(key)=\(text)"
        }
        return line
    }

    private static func json(_ level: Logger.Level, _ message: Logger.Message, _ fields: Logger.Metadata) -> String {
        var line = "{\"time\":\"\(timestamp())\",\"level\":\"\(level.rawValue)\",\"message\":\(quote("\(message)"))"
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) { line += ",\(quote(key)):\(quote("\(value)"))" }
        return line + "}"
    }

    /// A line stays a line, whatever a field holds.
    private static func clean(_ text: String) -> String {
        var cleaned = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": cleaned += "\\n"
            case "\r": cleaned += "\\r"
            case "\t": cleaned += "\\t"
            default:
                if scalar.value < 0x20 || scalar.value == 0x7f {
                    cleaned += "\\u{\(String(scalar.value, radix: 16))}"
                } else {
                    cleaned.unicodeScalars.append(scalar)
                }
            }
        }
        return cleaned
    }

    private static func quote(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            default:
                if scalar.value < 0x20 {
                    let digits = String(scalar.value, radix: 16)
                    quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                } else {
                    quoted.unicodeScalars.append(scalar)
                }
            }
        }
        return quoted + "\""
    }
}
