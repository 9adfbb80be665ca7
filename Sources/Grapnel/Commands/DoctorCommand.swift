// DoctorCommand: `grapnel doctor`: whether a server would find here what it needs.
//
// Takes the flags of `serve`. Reads the cluster and asks what may be done there; writes nothing there. In the data directory it
// writes one small file to measure the disk, and removes it. Exit status: 0 nothing failed, 1 something did, 2 wrong usage,
// 3 it could not check at all.

import ArgumentParser
import Delivery

struct DoctorCommand: ParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable { case text, json }

    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check settings, cluster, rights, disk and limits as the server would meet them.",
        discussion: """
            Run it where the server runs: with its flags, as its user, in its pod. One line for each check: ok, note, warn or FAIL, \
            with what to do. Rights that are missing are printed as YAML. Nothing is written to the cluster.
            """)

    @OptionGroup var options: ServeOptions
    @Option(help: ArgumentHelp("text or json.", valueName: "format"))
    var output: Format = .text

    func run() throws {
        let loaded: SettingsLoader.Loaded
        do throws(CommandFailure) {
            loaded = try options.load()
        } catch {
            throw CommandFailure(.environment, error.messages + ["nothing was checked: the settings cannot be read"])
        }
        let doctor = Doctor(loaded: loaded)
        let diagnosis = doctor.run { if output == .text { print($0.line) } }
        switch output {
        case .json: print(JSONText.pretty.text(diagnosis.json))
        case .text:
            if !diagnosis.missingRules.isEmpty { print("\nRules to grant:\n\n" + diagnosis.missingRules) }
            print(diagnosis.summary)
        }
        if diagnosis.hasFailed { throw CommandFailure(.wrongInput, []) }
    }
}
