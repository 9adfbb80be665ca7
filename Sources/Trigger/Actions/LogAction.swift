// LogAction: one line in the log for each delivery. Says what happened, never what was sent.

import Delivery
public import Logging

public struct LogAction: ActionRunner {
    private let logger: Logger

    public init(logger: Logger) { self.logger = logger }

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        var fields: Logger.Metadata = [
            "sequence": "\(attempt.sequence)", "route": "\(attempt.route)",
        ]
        let event = attempt.event
        let kind = event.kind ?? attempt.payload?.eventKind
        let facts = [
            ("delivery_id", attempt.payload?.deliveryID), ("event", kind), ("repository", event.repository),
            ("ref", event.ref), ("commit", event.commit),
        ]
        for (name, value) in facts {
            guard let value, !value.isEmpty else { continue }
            fields[name] = "\(Printable.line(value, bytesMax: 256))"
        }
        logger.info("delivery", metadata: fields)
        return .done
    }
}

/// Text of others, made fit for one line of a log.
enum Printable {
    /// Control characters and line ends become spaces; cut to `bytesMax` bytes of UTF-8.
    static func line(_ text: String, bytesMax: Int) -> String {
        var result = ""
        var byteCount = 0
        for scalar in text.unicodeScalars {
            let isPlain =
                scalar.properties.generalCategory != .control && scalar.properties.generalCategory != .format
                && scalar.properties.generalCategory != .lineSeparator
                && scalar.properties.generalCategory != .paragraphSeparator
            let shown = isPlain ? scalar : " "
            byteCount += UTF8.width(shown)
            if byteCount > bytesMax { return result + "…" }
            result.unicodeScalars.append(shown)
        }
        return result
    }
}
