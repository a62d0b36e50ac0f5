"""Which attacks are tried by tests of the part that stops them, and are not repeated here?"""

from __future__ import annotations

ELSEWHERE = {
    # Repositories
    "submodules (CVE-2024-32002, CVE-2025-48384)": "sources/test_git.py::test_a_submodule_is_refused_by_name",
    "links out of a repository": "sources/test_git.py::test_a_link_out_of_the_tree_is_refused_before_any_checkout",
    "`.git` in disguise (CVE-2021-21300, CVE-2024-32004)": "sources/test_git.py::test_names_that_can_harm_are_refused",
    "smudge filters, hooksPath (CVE-2024-32002)": "sources/test_git.py::test_filters_and_hooks_do_nothing",
    "a repository that runs programs (CVE-2022-24765)": (
        "sources/test_git.py::test_a_repository_of_this_machine_cannot_make_its_server_run_anything"
    ),
    "a tree of 10^9 files": "sources/test_git.py::test_a_tree_of_a_billion_files_or_folders_is_refused_as_fast",
    "attributes that grow": "sources/test_git.py::test_what_attributes_make_grow_is_bounded_too",
    "alternates and gitdir": (
        "sources/test_parse.py::test_an_agent_may_not_name_a_repository_that_keeps_its_content_elsewhere"
    ),
    "names that harm other systems": "sources/test_tree.py::test_names_that_can_harm_are_refused_and_shown",
    "links through links": "sources/test_tree.py::test_a_link_is_followed_through_other_links_as_the_kernel_does",
    "other spellings of a location": (
        "sources/test_parse.py::test_what_could_be_meant_otherwise_is_refused_before_anything_runs"
    ),
    "certificates": "sources/test_git.py::test_a_certificate_that_nobody_vouches_for_is_refused",
    # Package indexes
    "packages that lead out, grow, or pass for git's": (
        "sources/test_pypi.py::test_a_hostile_package_is_refused_like_any_archive"
    ),
    "packages that run when they are built or installed": "sources/test_pypi.py::test_nothing_of_a_package_runs",
    "another file than the index says": ("sources/test_pypi.py::test_another_file_than_the_index_says_is_refused"),
    "names of files that are paths": ("sources/test_pypi.py::test_a_name_of_a_file_that_means_harm_is_no_file"),
    "an index's password for another host": (
        "sources/test_pypi.py::test_what_signs_in_goes_to_the_index_alone_and_is_kept_nowhere"
    ),
    "a package of the same name on another index": (
        "sources/test_pypi.py::test_an_index_that_can_not_be_asked_is_not_passed_over_for_another"
    ),
    # Confinement, call by call
    "every refused call": "in_environment/test_seccomp.py::test_every_number_gets_the_answer_of_its_table",
    "Landlock before ABI 3": "in_environment/test_landlock.py::test_older_kernels_are_asked_for_what_they_have",
    "core files": "in_environment/test_confine.py::test_a_job_leaves_no_core_file",
    "a job that lies to its server": (
        "sandbox/test_launch.py::test_a_job_that_lies_about_its_folder_makes_the_server_read_nothing_of_this_machine"
    ),
    # What is copied out
    "names, depth, holes and races of a project": (
        "test_copying.py::test_what_becomes_a_link_after_it_was_looked_at_is_refused"
    ),
    "links that stay or leave": "test_copying.py::test_no_chain_of_links_leads_out_of_the_project",
    # Packages
    "wheels that run when installed": (
        "test_environments.py::test_nothing_that_was_installed_runs_while_an_environment_is_made_or_checked"
    ),
    "one environment's packages in another": (
        "test_environments.py::test_what_is_uninstalled_from_one_environment_harms_no_other_and_not_the_base"
    ),
    "packages that nobody vouches for": (
        "sandbox/test_trust.py::test_packages_that_no_person_vouches_for_run_in_the_sandbox_or_not_at_all"
    ),
    # Trust
    "an update of a template that was trusted": "test_dynamo.py::test_a_raised_trust_ends_when_the_template_changes",
    # What a team or a stranger names
    "a file of a team that moves trust to another folder": (
        "test_syncing.py::test_a_word_on_one_folder_of_a_repository_is_none_on_another"
    ),
    "a file of a team whose packages get what a person gave": (
        "test_syncing.py::test_packages_that_a_file_names_get_nothing_of_what_a_person_gave"
    ),
    "a file of a team that undoes `inert` by another name": (
        "test_syncing.py::test_a_file_gives_no_other_name_to_what_a_person_lets_run_nothing"
    ),
    "a file of a team that writes on a terminal": (
        "test_manifest.py::test_a_file_that_does_not_have_the_form_is_refused_with_the_reason"
    ),
    "a catalogue that takes a name while another is away": (
        "test_finding.py::test_a_stranger_takes_no_name_while_the_catalogue_before_can_not_be_had"
    ),
    "a catalogue whose place changes after a look": (
        "attacks/test_catalogues.py::test_more_trust_than_every_template_gets_is_said_of_a_place"
    ),
    "a catalogue that leads to this machine": (
        "sources/test_catalogues.py::test_a_redirect_to_this_machine_is_a_strangers_word"
    ),
    "a source of a package that brings links and no revision": (
        "sources/test_others.py::test_what_is_no_revision_is_its_fault_and_in_no_record"
    ),
    # The server
    "DNS rebinding (CVE-2025-66416)": (
        "edge/test_http.py::test_a_request_for_another_host_or_from_another_page_is_refused"
    ),
    "hooks that never end, kill and fill": (
        "test_hostile_code.py::test_a_hook_that_means_harm_is_told_with_what_it_printed"
    ),
}
"""Each with the test that tries it, below `tests/`."""
