// PlannedAgain: carries out the recorded plan of a delivery once more, through the dispatcher. Outcomes are written under the old delivery.

internal import CLinuxIO
internal import Journal
internal import NIOHTTP1
internal import Trigger

enum PlannedAgain {
    /// Without entries, all of the plan.
    static func redeliverer(_ dispatcher: Dispatcher, _ reader: JournalReader) -> Redeliverer {
        { _, _ in
            .failure(
                RedeliveryRefusal(
                    status: .notImplemented, code: "not-built",
                    message: "redelivery is not built into this version"))
        }
    }
}
