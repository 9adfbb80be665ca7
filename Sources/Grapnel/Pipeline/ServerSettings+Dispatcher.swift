// What the dispatcher is told of the settings.

internal import Trigger

extension DispatcherSettings {
    init(_ settings: ServerSettings) {
        self.init()
        runningMax = settings.actionsMax
        runningPerClusterMax = settings.actionsPerClusterMax
        runningPerNamespaceMax = settings.actionsPerNamespaceMax
        runningPerTargetMax = settings.actionsPerTargetMax
        heldDeliveriesMax = settings.queuedDeliveriesMax
        namespaceWeights = settings.systems.namespaceWeights
    }
}
