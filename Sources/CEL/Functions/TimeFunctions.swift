// TimeFunctions: the parts of timestamps and durations. Without a zone they are those of UTC; a zone is an offset (`+02:00`) or a
// name of the zone database (`Europe/Berlin`).

enum TimeFunctions {
    static let functions: [Function] =
        [
            part("getFullYear") { $0.year },
            part("getMonth") { $0.month - 1 },
            part("getDate") { $0.day },
            part("getDayOfMonth") { $0.day - 1 },
            part("getDayOfWeek") { $0.dayOfWeek },
            part("getDayOfYear") { $0.dayOfYear },
            part("getHours", per: 3_600_000_000_000) { $0.hour },
            part("getMinutes", per: 60_000_000_000) { $0.minute },
            part("getSeconds", per: 1_000_000_000) { $0.second },
        ] + [milliseconds]

    private static let ofTimestamp: [Overload] = [
        .member(.timestamp, [], .int), .member(.timestamp, [.string], .int),
    ]

    /// `nanoseconds` is what a duration is counted in, where it has such a part.
    private static func part(
        _ name: String, per nanoseconds: Int64? = nil, _ part: @escaping @Sendable (CELTimestamp.Calendar) -> Int
    ) -> Function {
        @Sendable func unary(_ value: CELValue, _ meter: inout CostMeter) throws(CELEvaluationError) -> CELValue {
            switch value {
            case .timestamp(let time): return .int(Int64(part(time.calendar(offsetSeconds: 0))))
            case .duration(let span):
                guard let nanoseconds else { throw .noSuchOverload }
                return .int(span.nanoseconds / nanoseconds)
            default: throw .noSuchOverload
            }
        }
        @Sendable func binary(
            _ value: CELValue, _ zone: CELValue, _ meter: inout CostMeter
        ) throws(CELEvaluationError) -> CELValue {
            guard case .timestamp(let time) = value, case .string(let zone) = zone else { throw .noSuchOverload }
            let offset = try TimeZones.offsetSeconds(of: zone, at: time.seconds, meter: &meter)
            return .int(Int64(part(time.calendar(offsetSeconds: offset))))
        }
        let ofDuration: [Overload] = nanoseconds == nil ? [] : [.member(.duration, [], .int)]
        return Function(name, ofTimestamp + ofDuration, unary: unary, binary: binary)
    }

    /// Those within the second of a timestamp, all of a duration. No zone moves them, but it must be one.
    private static let milliseconds: Function = {
        @Sendable func unary(_ value: CELValue, _ meter: inout CostMeter) throws(CELEvaluationError) -> CELValue {
            switch value {
            case .timestamp(let time): return .int(Int64(time.nanoseconds / 1_000_000))
            case .duration(let span): return .int(span.nanoseconds / 1_000_000)
            default: throw .noSuchOverload
            }
        }
        @Sendable func binary(
            _ value: CELValue, _ zone: CELValue, _ meter: inout CostMeter
        ) throws(CELEvaluationError) -> CELValue {
            guard case .timestamp(let time) = value, case .string(let zone) = zone else { throw .noSuchOverload }
            _ = try TimeZones.offsetSeconds(of: zone, at: time.seconds, meter: &meter)
            return .int(Int64(time.nanoseconds / 1_000_000))
        }
        let overloads = ofTimestamp + [.member(.duration, [], .int)]
        return Function("getMilliseconds", overloads, unary: unary, binary: binary)
    }()
}
