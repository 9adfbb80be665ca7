// Redelivery as the API asks for it: on a plain thread, with errors as answers.

internal import Journal
internal import NIOHTTP1

extension Redelivery {
    /// Longer than any commit takes: then the redelivery may still come.
    private static let waitSeconds = 15.0

    /// For worker threads alone: waits.
    var asked: Redeliverer {
        { [self] sequence, turn, answered in
            Self.told(
                Blocking.wait(seconds: Self.waitSeconds) {
                    await self.redeliver(sequence, turn.act, at: turn.place, answered: answered)
                })
        }
    }

    /// nil: there was no answer in time.
    static func told(_ answer: RedeliveryRequest.Answer?) -> Result<UInt64, RedeliveryRefusal> {
        guard let answer else {
            return .failure(
                RedeliveryRefusal(
                    status: .serviceUnavailable, code: RedeliveryRefusal.slow,
                    message: "the journal did not take it in time; it may still come: look at the newest deliveries"))
        }
        return answer.mapError { error in
            RedeliveryRefusal(status: error.status, code: error.code, message: error.message)
        }
    }
}

extension RedeliveryError {
    fileprivate var status: HTTPResponseStatus {
        switch self {
        case .unknown, .notADelivery: .notFound
        case .bodyNotKept: .conflict
        case .unreadable: .internalServerError
        case .refused, .stopping: .serviceUnavailable
        case .invalidPlan, .invalidRoute: .badRequest
        }
    }

    fileprivate var code: String {
        switch self {
        case .unknown, .notADelivery: "delivery-unknown"
        case .bodyNotKept: "body-not-kept"
        case .unreadable: "journal-unreadable"
        case .refused: "journal-refuses"
        case .invalidPlan: "plan-invalid"
        case .invalidRoute: "to-unusable"
        case .stopping: "stopping"
        }
    }
}
