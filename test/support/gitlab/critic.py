"""python3-gitlab against the practice GitLab: python3 critic.py URL PRIVATE_TOKEN OAUTH_TOKEN WEBHOOK_URL. Prints what it did."""

import sys

import gitlab

url, private_token, oauth_token, webhook = sys.argv[1:]
print("python-gitlab", gitlab.__version__)

for name, client in (
    ("personal token", gitlab.Gitlab(url, private_token=private_token)),
    ("OAuth token", gitlab.Gitlab(url, oauth_token=oauth_token)),
):
    client.auth()
    print(name, "user", client.user.username, "version", client.version()[0])
    every = [p.path_with_namespace for p in client.projects.list(membership=True, iterator=True, per_page=2)]
    print("  projects by offset", sorted(every))
    keyset = client.projects.list(membership=True, iterator=True, per_page=2, pagination="keyset", order_by="id")
    assert sorted(p.path_with_namespace for p in keyset) == sorted(every)
    print("  projects by keyset: the same")
    project = client.projects.get("harbour/website")
    head = project.branches.get("main").commit["id"]
    print("  branches", [b.name for b in project.branches.list(get_all=True)], "head", head[:8])
    print("  commits", [c.title for c in project.commits.list(ref_name="main", iterator=True)])
    branch = project.branches.create({"branch": "critic-" + name.split()[0], "ref": "main"})
    assert branch.commit["id"] == head
    hook = project.hooks.create({"url": webhook, "token": "s", "push_events": True})
    hook.push_events_branch_filter = "main"
    hook.save()
    assert project.hooks.get(hook.id).push_events_branch_filter == "main"
    print("  hooks", [h.url for h in project.hooks.list(get_all=True)], "alert_status", hook.alert_status)
    hook.delete()
    assert project.hooks.list(get_all=True) == []
    made = client.projects.create({"name": "critic " + name, "initialize_with_readme": True})
    print("  made", made.path_with_namespace, "empty", made.empty_repo)
    for what, call, status in (
        ("a missing project", lambda: client.projects.get("harbour/none"), 404),
        ("a missing branch", lambda: project.branches.get("none"), 404),
        ("hooks as Reporter", lambda: client.projects.get("parks/annual-report").hooks.list(get_all=True), 403),
        ("a bad hook address", lambda: project.hooks.create({"url": "ftp://example.org"}), 422),
    ):
        try:
            call()
            raise SystemExit(what + " was not refused")
        except gitlab.exceptions.GitlabError as error:
            assert error.response_code == status, (what, error)
            print("  refused", what, status, error.error_message)

try:
    gitlab.Gitlab(url, private_token="glpat-wrong").auth()
    raise SystemExit("a wrong token was not refused")
except gitlab.exceptions.GitlabAuthenticationError as error:
    print("refused a wrong token", error.response_code)
